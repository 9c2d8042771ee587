"""The definitions that a version was packed with, as far as they say what its inputs are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from octavo.definitions.features import FeatureView, OnDemand
from octavo.definitions.models import Model
from octavo.definitions.plans import LookupPlan
from octavo.definitions.project import Project
from octavo.errors import IntegrityError
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.serving.code import load_functions, load_modules
from octavo.stores.ports import Artifacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What stands in a bundle.

    Attributes
    ----------
    views : mapping of name to FeatureView
        Those of the plan with the plan's features. What else belongs to a view is as the bundle's code declares it;
        where that does not load, as the project does today. One that neither knows is absent.
    functions : tuple of OnDemand
        In the order of the plan.
    """

    plan: LookupPlan
    views: Mapping[str, FeatureView]
    functions: tuple[OnDemand, ...]


def packed_of(artifacts: Artifacts, digest: str, *, project: Project) -> Packed:
    """The definitions in a bundle. Its code is run, as a predictor does.

    Raises
    ------
    IntegrityError
        If the bundle is gone or damaged, or lacks an on-demand function.
    Unavailable
        If the artifacts cannot be reached.
    """
    with TemporaryDirectory() as scratch:
        bundle = fetch_bundle(artifacts, digest, into=Path(scratch))
        functions = load_functions(bundle)
        declared = {**project.views, **_views_in(_modules(bundle))}
    features = {view.name: view.features for view in bundle.plan.views}
    views = {name: declared[name].with_features(features[name]) for name in features if name in declared}
    return Packed(plan=bundle.plan, views=views, functions=functions)


def _modules(bundle: Bundle) -> Sequence[ModuleType]:
    """The bundle's modules; none if they do not load, which stops no predictor either as long as it needs none."""
    try:
        return load_modules(bundle)
    except IntegrityError:
        return ()


def _views_in(modules: Sequence[ModuleType]) -> dict[str, FeatureView]:
    """The feature views that modules declare, those that their models take included."""
    found = [item for module in modules for item in vars(module).values()]
    taken = [view for item in found if isinstance(item, Model) for view in item.views]
    return {view.name: view for view in (*taken, *(item for item in found if isinstance(item, FeatureView)))}
