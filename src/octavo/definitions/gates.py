"""Gates: what a model version must show before it may be released."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum

from octavo.definitions.conditions import check_condition, columns_of, parse_condition
from octavo.definitions.sources import Source
from octavo.definitions.types import DType, Field
from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Where:
    """The rows for which a condition holds; made by `where`."""

    condition: str

    @property
    def name(self) -> str:
        return self.condition


Slice = str | Where
"""A column, each of whose values (of numbers each quarter) is a slice; or the rows of a condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(ABC):
    """A condition that a model version must meet before it may be released.

    Attributes
    ----------
    needed : bool
        Whether a version that the gate cannot judge is held back: for too few rows, say. What is not judged has not
        passed, unless the project says that it need not be.
    """

    needed: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in records and on pages; unique among a model's gates."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the held-out rows that it goes by."""
        return ()

    @property
    def slices(self) -> tuple[Slice, ...]:
        """What it asks of the rows beside their inputs and labels."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AtMost(Gate):
    metric: str
    bound: float

    @property
    def name(self) -> str:
        return f"at_most({self.metric}, {self.bound:g})"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast(Gate):
    metric: str
    bound: float

    @property
    def name(self) -> str:
        return f"at_least({self.metric}, {self.bound:g})"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterThanBaseline(Gate):
    metric: str

    @property
    def name(self) -> str:
        return f"better_than_baseline({self.metric})"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterThanChampion(Gate):
    """Attributes
    ----------
    confidence : float or None
        Of the interval whose worse end counts; None if the value itself does.
    margin : float
        By how much it may be worse.
    """

    metric: str
    confidence: float | None = None
    margin: float = 0.0

    @property
    def name(self) -> str:
        said = "" if self.confidence is None else f", confidence={self.confidence:g}"
        return f"better_than_champion({self.metric}{said}{f', margin={self.margin:g}' if self.margin else ''})"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoWorseOn(Gate):
    of: tuple[Slice, ...]
    metric: str
    by: float
    confidence: float
    min_rows: int

    @property
    def name(self) -> str:
        named = ", ".join(one if isinstance(one, str) else one.name for one in self.of)
        return f"no_worse_on({named}; {self.metric}, by={self.by:g})"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    @property
    def slices(self) -> tuple[Slice, ...]:
        return self.of


class Fairness(StrEnum):
    """What is compared between groups."""

    SELECTION_RATE = "selection_rate"
    """The share that is predicted positive: demographic parity."""
    TPR = "tpr"
    """Of those that are positive, the share predicted so: equal opportunity."""
    FPR = "fpr"
    """Of those that are negative, the share predicted positive."""
    PRECISION = "precision"
    """Of those predicted positive, the share that is: predictive parity."""
    ACCURACY = "accuracy"
    ERROR = "error"
    """Of numbers: by how much predictions lie off, on average and without their signs."""
    BIAS = "bias"
    """Of numbers: by how much predictions lie too high, on average."""


FAIR_TO_NUMBERS = frozenset({Fairness.ERROR, Fairness.BIAS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fair(Gate):
    attribute: str
    of: Fairness
    within: float
    threshold: float
    confidence: float | None
    min_rows: int

    @property
    def name(self) -> str:
        at = f", threshold={self.threshold:g}" if self.threshold != 0.5 else ""
        return f"fair({self.attribute}, {self.of}, within={self.within:g}{at})"

    @property
    def slices(self) -> tuple[Slice, ...]:
        return (self.attribute,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fast(Gate):
    p99_us: float
    rows: int

    @property
    def name(self) -> str:
        return f"fast(p99_us={self.p99_us:g}, rows={self.rows})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Small(Gate):
    size_bytes: int

    @property
    def name(self) -> str:
        return f"small(bytes={self.size_bytes})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSkew(Gate):
    last: int

    @property
    def name(self) -> str:
        return f"no_skew(last={self.last})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays(Gate):
    """Attributes
    ----------
    within : float or None
        From which difference on two answers differ; None if any may be.
    differing : float
        The largest share of answers that may.
    """

    last: int
    within: float | None
    differing: float

    @property
    def name(self) -> str:
        bounds = "" if self.within is None else f", within={self.within:g}, differing={self.differing:g}"
        return f"replays(last={self.last}{bounds})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterOnLog(Gate):
    """Attributes
    ----------
    confidence, margin
        As of `BetterThanChampion`.
    """

    metric: str
    last: int
    min_rows: int
    confidence: float | None
    margin: float

    @property
    def name(self) -> str:
        said = "" if self.confidence is None else f", confidence={self.confidence:g}"
        return f"better_on_log({self.metric}{said}{f', margin={self.margin:g}' if self.margin else ''})"

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChecks(Gate):
    """Attributes
    ----------
    nulls : float or mapping of input to float, or None
        The largest share of training rows without a value of their own; one number holds for every input.
    label : pair of float or None
        Between which the mean of the training labels lies; of a binary one that is the share of positives.
    leak : float or None
        From which area under the curve on (of numbers, rank correlation) one input alone knows too much.
    expectations : bool
        Whether what is expected of values must be met.
    """

    rows: int | None
    nulls: float | Mapping[str, float] | None = field(hash=False)
    label: tuple[float, float] | None
    leak: float | None
    expectations: bool

    @property
    def name(self) -> str:
        return "data_checks"


def check_gates(gates: Sequence[Gate], *, model: str, source: Source, inputs: Collection[str], binary: bool) -> None:
    """Refuse gates that cannot be asked of a model.

    Parameters
    ----------
    inputs : collection of str
        Of the model; those that the source lacks are numbers.

    Raises
    ------
    InvalidDefinition
        If a column does not exist, two gates have one name, or a gate is for another task.
    """
    names = [gate.name for gate in gates]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise InvalidDefinition(f"model {model!r} declares the gate {doubled[0]} twice; leave one out")
    known = copy(source)
    numbers = tuple(Field(name=name, dtype=DType.FLOAT64) for name in inputs if name not in source.columns)
    object.__setattr__(known, "schema", (*source.schema, *numbers))
    for gate in gates:
        what = f"model {model!r}, gate {gate.name}"
        for one in gate.slices:
            if isinstance(one, Where):
                check_condition(parse_condition(one.condition), known, what=what)
            elif known.field(one, role=what).dtype in (DType.LIST, DType.VECTOR, DType.TIMESTAMP):
                raise InvalidDefinition(f"{what}: {one!r} has too many values to be cut by; use oc.where(...)")
        if isinstance(gate, Fair) and (gate.of in FAIR_TO_NUMBERS) == binary:
            of = ", ".join(one for one in Fairness if (one in FAIR_TO_NUMBERS) != binary)
            raise InvalidDefinition(f"{what}: {gate.of} is not for such a model; there are: {of}")
        named = gate.nulls if isinstance(gate, DataChecks) and isinstance(gate.nulls, Mapping) else {}
        if lacking := sorted(set(named) - set(inputs)):
            raise InvalidDefinition(f"{what}: {', '.join(lacking)} is none of its inputs")


def columns_asked(gates: Sequence[Gate]) -> tuple[str, ...]:
    """All columns that gates look at beside inputs and labels."""
    found: list[str] = []
    for one in (each for gate in gates for each in gate.slices):
        found += columns_of(parse_condition(one.condition)) if isinstance(one, Where) else [one]
    return tuple(dict.fromkeys(found))
