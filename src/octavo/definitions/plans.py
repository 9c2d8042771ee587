"""What a request needs, worked out ahead: the part of a model's definition that travels with its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from octavo.definitions.answers import words_of_answer
from octavo.definitions.features import Feature, FeatureView
from octavo.definitions.models import Model, Task, input_name
from octavo.definitions.types import DType
from octavo.definitions.unsaid import UNSAID, is_unsaid


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedField:
    """A field of the request.

    Attributes
    ----------
    categories : tuple of str
        Of a category, the words that training knew: the model is given the place of a word among them, -1 for any other
        word and NaN for none. Empty for every other type.
    """

    name: str
    dtype: DType
    required: bool
    default: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedView:
    """A feature view to look up: one read by `entity_keys` gives all of `features`."""

    name: str
    entity_keys: tuple[str, ...]
    features: tuple[Feature, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the view's features are called among the model's inputs, in order."""
        return tuple(input_name(self.name, feature.name) for feature in self.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFunction:
    """An on-demand feature, or what comes after the model, found by name in the module that travels in the bundle."""

    name: str
    inputs: tuple[str, ...]
    default: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPlan:
    """How a request becomes a row of the model's matrix.

    Attributes
    ----------
    inputs : tuple of str
        The matrix's columns, in order: features of `views`, then `functions`, then those of `fields` that are inputs.
    fields : tuple of PlannedField
        All that a request may hold: declared request fields, entity keys, and features that it may bring along.
    overrides : tuple of str
        Those inputs, of `views`, that a request may bring along: what it sends goes before what is stored.
    answer : PlannedFunction or None
        What makes the answer of the model's output, which is called ``prediction``, and of `inputs`.
    """

    model: str
    task: Task
    inputs: tuple[str, ...]
    fields: tuple[PlannedField, ...]
    views: tuple[PlannedView, ...]
    functions: tuple[PlannedFunction, ...]
    overrides: tuple[str, ...] = field(default=(), metadata=UNSAID)
    answer: PlannedFunction | None = field(default=None, metadata=UNSAID)

    @property
    def answered_by(self) -> str:
        """``calibrated(prediction, distance)``; empty if the model's output is the answer."""
        return "" if self.answer is None else words_of_answer(self.answer.name, self.answer.inputs)

    @property
    def defaults(self) -> tuple[float | None, ...]:
        """What stands in for each of the inputs where it is not known."""
        declared = {
            **{field.name: field.default for field in self.fields},
            **{function.name: function.default for function in self.functions},
            **{name: f.default for view in self.views for name, f in zip(view.inputs, view.features, strict=True)},
        }
        return tuple(declared[name] for name in self.inputs)

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """The words of those inputs that are categories."""
        return {field.name: field.categories for field in self.fields if field.dtype is DType.CATEGORY}


def plan_view(view: FeatureView) -> PlannedView:
    """The lookup of one feature view."""
    return PlannedView(name=view.name, entity_keys=view.entity_keys, features=view.features)


def plan_lookup(model: Model, *, categories: Mapping[str, tuple[str, ...]] | None = None) -> LookupPlan:
    """The lookup plan of a model.

    Parameters
    ----------
    categories : mapping of input to words
        What training found for each category.
    """
    words = categories or {}
    taken = {
        f.name: PlannedField(
            name=f.name,
            dtype=f.dtype,
            required=f.required,
            default=f.default,
            categories=words.get(f.name, ()),
        )
        for f in model.request_fields
    }
    for view in model.views:
        for entity in view.entities:
            taken.setdefault(entity.key, PlannedField(name=entity.key, dtype=entity.dtype, required=True))
    for name in model.overrides:
        taken[name] = PlannedField(name=name, dtype=DType.FLOAT64, required=False)
    return LookupPlan(
        model=model.name,
        task=model.task,
        inputs=model.input_names,
        fields=tuple(taken.values()),
        views=tuple(plan_view(view) for view in model.views),
        functions=tuple(PlannedFunction(name=f.name, inputs=f.inputs, default=f.default) for f in model.on_demand),
        overrides=model.overrides,
        answer=None if model.answer is None else PlannedFunction(name=model.answer.name, inputs=model.answer.inputs),
    )


def encode_plan(plan: LookupPlan) -> bytes:
    """A lookup plan as JSON, the same for the same plan; without what it does not say."""
    said = {one.name: getattr(plan, one.name) for one in fields(plan) if not is_unsaid(plan, one.name)}
    return msgspec.json.encode(said)


def decode_plan(data: bytes) -> LookupPlan:
    """A lookup plan from JSON, also one of the time when a view was of one entity only.

    Raises
    ------
    msgspec.MsgspecError
        If it is none.
    """
    document = msgspec.json.decode(data, type=dict[str, Any])
    document["views"] = msgspec.convert(document.get("views"), list[dict[str, Any]])
    for view in document["views"]:
        if "entity_key" in view:
            view["entity_keys"] = [view.pop("entity_key")]
    return msgspec.convert(document, LookupPlan)
