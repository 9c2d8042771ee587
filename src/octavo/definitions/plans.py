"""What a request needs, worked out ahead: the part of a model's definition that travels with its bytes."""

from dataclasses import dataclass

from octavo.definitions.features import Feature, FeatureView
from octavo.definitions.models import Model, Task, input_name
from octavo.definitions.types import DType


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedField:
    """A field of the request."""

    name: str
    dtype: DType
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedView:
    """A feature view to look up: one read by `entity_key` gives all of `features`."""

    name: str
    entity_key: str
    features: tuple[Feature, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the view's features are called among the model's inputs, in order."""
        return tuple(input_name(self.name, feature.name) for feature in self.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFunction:
    """An on-demand feature, found by name in the project's module that travels in the bundle."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPlan:
    """How a request becomes a row of the model's matrix.

    Attributes
    ----------
    inputs : tuple of str
        The matrix's columns, in order: features of `views`, then `functions`, then the numeric ones of `fields`.
    fields : tuple of PlannedField
        All that a request may hold: declared request fields and entity keys.
    """

    model: str
    task: Task
    inputs: tuple[str, ...]
    fields: tuple[PlannedField, ...]
    views: tuple[PlannedView, ...]
    functions: tuple[PlannedFunction, ...]


def plan_view(view: FeatureView) -> PlannedView:
    """The lookup of one feature view."""
    return PlannedView(name=view.name, entity_key=view.entity.key, features=view.features)


def plan_lookup(model: Model) -> LookupPlan:
    """The lookup plan of a model."""
    fields = {f.name: PlannedField(name=f.name, dtype=f.dtype, required=f.required) for f in model.request_fields}
    for view in model.views:
        key = PlannedField(name=view.entity.key, dtype=view.entity.dtype, required=True)
        fields.setdefault(key.name, key)
    return LookupPlan(
        model=model.name,
        task=model.task,
        inputs=model.input_names,
        fields=tuple(fields.values()),
        views=tuple(plan_view(view) for view in model.views),
        functions=tuple(PlannedFunction(name=f.name, inputs=f.inputs) for f in model.on_demand),
    )
