"""Models, their labels and what starts a retraining."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from octavo.definitions.about import Expectation
from octavo.definitions.answers import AfterModel, check_answer
from octavo.definitions.costs import Costs
from octavo.definitions.features import Feature, FeatureView, OnDemand, RequestField
from octavo.definitions.gates import Gate, check_gates, columns_asked
from octavo.definitions.order import check_functions
from octavo.definitions.sources import Source
from octavo.definitions.steps import code_with_steps
from octavo.definitions.sweeps import Sweep
from octavo.definitions.triggers import Trigger
from octavo.definitions.types import DType, check_name, seconds
from octavo.definitions.unsaid import UNSAID
from octavo.errors import InvalidDefinition

Input = FeatureView | OnDemand | RequestField
PARTITION_MIN_ROWS = 1_000


class RiskTier(StrEnum):
    """How much harm a wrong answer of a model can do."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Task(StrEnum):
    """What a model predicts."""

    REGRESSION = "regression"
    BINARY = "binary"
    """The probability that the label is 1."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a model learns to predict: a column of a source whose rows also hold the request.

    Parameters
    ----------
    source : Source
        Each row is one labelled case: its request fields and entity keys, the time of the decision and the truth, which
        becomes known at the source's `available_at`.
    column : str
        The truth, numeric. Rows where it is null have no label.
    at : str
        The column with the time of the decision: features are those known then.
    above : float or None
        Makes a binary label: 1 where the column is greater than this.
    """

    source: Source
    column: str
    at: str
    above: float | None = None

    def __post_init__(self) -> None:
        if not self.source.dtype(self.column, role="label").is_numeric:
            raise InvalidDefinition(f"label {self.column!r} of source {self.source.name!r} is not numeric")
        if self.source.dtype(self.at, role="decision time") is not DType.TIMESTAMP:
            raise InvalidDefinition(f"decision time {self.at!r} of source {self.source.name!r} must be an oc.Timestamp")

    @property
    def task(self) -> Task:
        return Task.REGRESSION if self.above is None else Task.BINARY

    def truth(self, value: float) -> float:
        """The label of a raw value of the column."""
        return value if self.above is None else float(value > self.above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model: its inputs, its label and the function that fits it. Made by `model`.

    Attributes
    ----------
    train : callable
        Takes an `octavo.Dataset`, returns a fitted estimator with ``predict`` (regression) or ``predict_proba``.
    holdout_s : int
        The newest stretch of labelled rows, kept out of training to evaluate on; seconds.
    history_s : int or None
        How far back training rows reach; all unless given.
    baseline : str or None
        An input that by itself is a guess at the label, such as the last known delay; a baseline beside the constant.
    sweep : Sweep or None
        Where its hyperparameters are searched by default.
    owner, purpose : str
        Who answers for it, and what its answers are used for.
    tier : RiskTier or None
        How much harm a wrong answer can do. Without owner, purpose and tier no version is released.
    limits : tuple of str
        What it must not be used for, and where it is known to be wrong; for its card.
    costs : Costs or None
        Of deciding by a binary model, for its report.
    overrides : tuple of str
        Those inputs of views that a request may bring along under their names: what it sends goes before what is
        stored, and is marked as sent.
    partition_by : str or None
        A category among its inputs, for whose words parts of their own may be fitted beside the model for all.
    partition_min_rows : int
        The fewest training rows of a word that a part is fitted on.
    answer : AfterModel or None
        What makes its answer of what the estimator says; that itself is the answer unless given.
    """

    name: str
    features: tuple[Input, ...]
    label: Label
    train: Callable[..., Any] = field(repr=False, compare=False)
    metrics: tuple[str, ...]
    gates: tuple[Gate, ...] = ()
    retrain: tuple[Trigger, ...] = ()
    holdout_s: int
    history_s: int | None = None
    baseline: str | None = None
    sweep: Sweep | None = field(default=None, metadata=UNSAID)
    description: str = ""
    owner: str = ""
    purpose: str = field(default="", metadata=UNSAID)
    tier: RiskTier | None = field(default=None, metadata=UNSAID)
    limits: tuple[str, ...] = field(default=(), metadata=UNSAID)
    costs: Costs | None = field(default=None, metadata=UNSAID)
    overrides: tuple[str, ...] = field(default=(), metadata=UNSAID)
    partition_by: str | None = field(default=None, metadata=UNSAID)
    partition_min_rows: int = field(default=PARTITION_MIN_ROWS, metadata=UNSAID)
    answer: AfterModel | None = field(default=None, metadata=UNSAID)
    source_code: str = field(repr=False, default="")

    def __post_init__(self) -> None:
        check_name(self.name, what="model")
        if self.partition_by and self.answer is not None:
            raise InvalidDefinition(
                f"model {self.name!r} has parts and a function after the model: its parts would be judged without that "
                "function; put it into a composite, or leave one of the two out"
            )
        if not self.input_names:
            raise InvalidDefinition(f"model {self.name!r} has no input: no number and no category")
        if len(set(self.input_names)) < len(self.input_names):
            raise InvalidDefinition(f"model {self.name!r} lists an input twice")
        requested = {f.name for f in self.request_fields}
        looked_up = {input_name(view.name, f.name) for view in self.views for f in view.features}
        check_functions(self.on_demand, known=requested | looked_up, what=f"model {self.name!r}")
        if self.baseline and self.baseline not in set(self.input_names) - set(self.category_names):
            raise InvalidDefinition(f"model {self.name!r}: baseline {self.baseline!r} is none of its numeric inputs")
        if self.partition_by is not None and self.partition_by not in self.category_names:
            raise InvalidDefinition(
                f"model {self.name!r}: partition_by={self.partition_by!r} is none of its categories "
                f"({', '.join(self.category_names) or 'it has none'}); declare it among its features: "
                f"oc.request({self.partition_by!r}, oc.Category)"
            )
        if self.partition_min_rows < 1:
            raise InvalidDefinition(
                f"model {self.name!r}: partition_min_rows={self.partition_min_rows} must be at least 1"
            )
        if self.partition_by is None and self.partition_min_rows != PARTITION_MIN_ROWS:
            raise InvalidDefinition(f"model {self.name!r}: partition_min_rows says nothing without partition_by")
        columns = set(self.label.source.columns)
        needed = requested | {key for view in self.views for key in view.entity_keys}
        if lacking := sorted(needed - columns):
            raise InvalidDefinition(
                f"model {self.name!r}: label source {self.label.source.name!r} lacks {', '.join(lacking)}; "
                "its rows must hold the request fields and entity keys"
            )
        for name in self.category_names:
            if self.label.source.dtype(name) is not DType.STRING:
                raise InvalidDefinition(
                    f"model {self.name!r}: request field {name!r} is a category, which source "
                    f"{self.label.source.name!r} must hold as a String, not as {self.label.source.dtype(name)}"
                )
        if unknown := sorted(set(self.overrides) - looked_up):
            raise InvalidDefinition(
                f"model {self.name!r}: overrides name {', '.join(unknown)}, which no view of its gives; a request may "
                f"bring along: {', '.join(sorted(looked_up)) or 'nothing'}"
            )
        if self.label.column in requested:
            raise InvalidDefinition(
                f"model {self.name!r}: its label {self.label.column!r} is also a request field (a leak)"
            )
        if self.answer is not None:
            check_answer(self.answer, inputs=self.input_names, label=self.label.column, what=f"model {self.name!r}")
        check_gates(
            self.gates,
            model=self.name,
            source=self.label.source,
            inputs=self.input_names,
            binary=self.task is Task.BINARY,
        )

    @property
    def task(self) -> Task:
        return self.label.task

    @property
    def views(self) -> tuple[FeatureView, ...]:
        return tuple(f for f in self.features if isinstance(f, FeatureView))

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        return tuple(f for f in self.features if isinstance(f, OnDemand))

    @property
    def request_fields(self) -> tuple[RequestField, ...]:
        return tuple(f for f in self.features if isinstance(f, RequestField))

    @property
    def input_names(self) -> tuple[str, ...]:
        """The columns of the model's matrix, in order: views' features, on-demand ones, the request's inputs."""
        return (
            *(input_name(view.name, f.name) for view in self.views for f in view.features),
            *(function.name for function in self.on_demand),
            *(f.name for f in self.request_fields if f.dtype.is_input),
        )

    @property
    def category_names(self) -> tuple[str, ...]:
        """Those of its inputs that are categories."""
        return tuple(f.name for f in self.request_fields if f.dtype is DType.CATEGORY)

    @property
    def watched_names(self) -> tuple[str, ...]:
        """Columns of the label's source that only its gates look at."""
        known = {*self.input_names, *(f.name for f in self.request_fields)}
        known |= {key for view in self.views for key in view.entity_keys}
        return tuple(name for name in columns_asked(self.gates) if name not in known)

    @property
    def declared(self) -> dict[str, Feature | OnDemand | RequestField]:
        """What its values are of, by what it calls them: its inputs, and the request fields that are none."""
        return {
            **{input_name(view.name, f.name): f for view in self.views for f in view.features},
            **{function.name: function for function in self.on_demand},
            **{f.name: f for f in self.request_fields},
        }

    @property
    def input_defaults(self) -> tuple[float | None, ...]:
        """What stands in for each input where it is not known, in their order; None where nothing does."""
        declared = self.declared
        return tuple(declared[name].default for name in self.input_names)

    @property
    def expectations(self) -> dict[str, Expectation]:
        """What is expected of its values, by what it calls them."""
        return {name: one.expect for name, one in self.declared.items() if one.expect is not None}


def input_name(view: str, feature: str) -> str:
    """What a view's feature is called among a model's inputs."""
    return f"{view}__{feature}"


def model(
    *,
    features: Sequence[Input],
    label: Label,
    metrics: Sequence[str],
    gates: Sequence[Gate] = (),
    retrain: Sequence[Trigger] = (),
    holdout: str = "14d",
    history: str | None = None,
    baseline: str | None = None,
    sweep: Sweep | None = None,
    description: str = "",
    owner: str = "",
    purpose: str = "",
    tier: Literal["low", "medium", "high"] | None = None,
    limits: Sequence[str] = (),
    costs: Costs | None = None,
    overrides: Sequence[str] = (),
    partition_by: str | None = None,
    partition_min_rows: int = PARTITION_MIN_ROWS,
    answer: AfterModel | None = None,
) -> Callable[[Callable[..., Any]], Model]:
    """Declare a training function as a model; the function's name is the model's.

    Parameters
    ----------
    partition_by : str or None
        A category among the features. The function fits the model for all rows, and then a part for each word with at
        least `partition_min_rows` training rows. A part answers its word if that measures surely better; the model for
        all answers everything else.

    Raises
    ------
    InvalidDefinition
        If `tier` is none of ``low``, ``medium`` and ``high``.
    """
    risk = None if tier is None else _tier(tier)

    def declare(train: Callable[..., Any]) -> Model:
        return Model(
            name=train.__name__,
            features=tuple(features),
            label=label,
            train=train,
            metrics=tuple(metrics),
            gates=tuple(gates),
            retrain=tuple(retrain),
            holdout_s=seconds(holdout, what="holdout"),
            history_s=seconds(history, what="history") if history else None,
            baseline=baseline,
            sweep=sweep,
            description=description or (train.__doc__ or "").strip(),
            owner=owner,
            purpose=purpose,
            tier=risk,
            limits=tuple(limits),
            costs=costs,
            overrides=tuple(overrides),
            partition_by=partition_by,
            partition_min_rows=partition_min_rows,
            answer=answer,
            source_code=code_with_steps(train),
        )

    return declare


def _tier(given: str) -> RiskTier:
    try:
        return RiskTier(given)
    except ValueError:
        raise InvalidDefinition(
            f"a model's tier says how much harm a wrong answer can do: low, medium or high, not {given!r}"
        ) from None
