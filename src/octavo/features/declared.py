"""Every value that models may take, whatever it comes from, with all that is said of it."""

from dataclasses import dataclass
from enum import StrEnum

from octavo.definitions.about import Expectation
from octavo.definitions.features import Feature, OnDemand, RequestField
from octavo.definitions.models import input_name
from octavo.definitions.project import Project
from octavo.definitions.types import DType
from octavo.errors import NotFound


class FeatureKind(StrEnum):
    """Where a value comes from."""

    VIEW = "view"
    ON_DEMAND = "on demand"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredFeature:
    """A value that models may take.

    Attributes
    ----------
    name : str
        What models call it.
    view : str
        The feature view that it is one of; empty for all others.
    dtype : DType
        What a model is given is a float64 in any case.
    description, owner : str
        Those of the view where the feature has none of its own.
    feature : Feature or None
        How it is computed, for one of a view.
    takes : tuple of str
        The parameters of an on-demand feature.
    models : tuple of str
        Those that take it.
    """

    name: str
    kind: FeatureKind
    view: str = ""
    dtype: DType = DType.FLOAT64
    description: str = ""
    owner: str = ""
    default: float | None = None
    expect: Expectation | None = None
    deprecated: str = ""
    feature: Feature | None = None
    takes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def list_declared(project: Project) -> tuple[DeclaredFeature, ...]:
    """Every value that a project declares: those of its views by name, on-demand features, request fields.

    One that two models declare differently is listed once for each way.
    """
    takers: dict[OnDemand | RequestField, list[str]] = {}
    for model in project.models.values():
        others: tuple[OnDemand | RequestField, ...] = (*model.on_demand, *model.request_fields)
        for one in others:
            takers.setdefault(one, []).append(model.name)
    taken = [_other(one, tuple(sorted(models))) for one, models in takers.items()]
    order = list(FeatureKind)
    return (*_of_views(project), *sorted(taken, key=lambda one: (order.index(one.kind), one.name)))


def find_declared(project: Project, name: str) -> DeclaredFeature:
    """One value by what models call it.

    Raises
    ------
    NotFound
        If there is none; the nearest feature or feature view is suggested.
    """
    known = {one.name: one for one in reversed(list_declared(project))}
    if name not in known:
        raise NotFound("feature or feature view", name, (*project.views, *known))
    return known[name]


def models_of(project: Project, view: str) -> tuple[str, ...]:
    """The models that take a feature view."""
    return tuple(sorted(model.name for model in project.models.values() if any(v.name == view for v in model.views)))


def _of_views(project: Project) -> list[DeclaredFeature]:
    return [
        DeclaredFeature(
            name=input_name(view.name, feature.name),
            kind=FeatureKind.VIEW,
            view=view.name,
            description=feature.description or view.description,
            owner=feature.owner or view.owner,
            default=feature.default,
            expect=feature.expect,
            deprecated=feature.deprecated,
            feature=feature,
            models=models_of(project, view.name),
        )
        for _, view in sorted(project.views.items())
        for feature in view.features
    ]


def _other(one: OnDemand | RequestField, models: tuple[str, ...]) -> DeclaredFeature:
    return DeclaredFeature(
        name=one.name,
        kind=FeatureKind.ON_DEMAND if isinstance(one, OnDemand) else FeatureKind.REQUEST,
        dtype=one.dtype if isinstance(one, RequestField) else DType.FLOAT64,
        description=one.description,
        owner=one.owner,
        default=one.default,
        expect=one.expect,
        deprecated=one.deprecated,
        takes=one.inputs if isinstance(one, OnDemand) else (),
        models=models,
    )
