"""Aggregates and latest values, as a user declares them; `octavo.features.sql` computes them offline.

A window of length W at time T covers event times in [T - W, T), its far edge rounded down to the window's tile, and
only events that were known before T. The tile is the largest of 1 m, 5 m, 15 m, 1 h, 6 h and 1 d that is at most
W / 12, so that every window is read from 12 tiles or more and is at most 8.4 % longer than declared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from octavo.definitions.conditions import parse_condition
from octavo.definitions.measures import Measure
from octavo.definitions.types import check_name, seconds
from octavo.errors import InvalidDefinition

TILES_S = (60, 300, 900, 3_600, 21_600, 86_400)
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 720, 366 * 86_400


class Operation(StrEnum):
    """What an aggregate does with the values in its window. Nulls are passed over by all."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    STD = "std"
    QUANTILE = "quantile"
    DISTINCT = "distinct"
    RATE = "rate"
    LAST = "last"
    LATEST = "latest"

    @property
    def is_of_newest(self) -> bool:
        """Whether it is the value of one event, the newest that has one."""
        return self in (Operation.LAST, Operation.LATEST)

    @property
    def counts(self) -> bool:
        """Whether it is a number of things, which is 0 where there are none."""
        return self in (Operation.COUNT, Operation.DISTINCT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One operation over a measure of events for any number of windows; made by `mean`, `count` and their like.

    Attributes
    ----------
    column : str or None
        None for a count of events and a rate.
    condition : str or None
        Of a rate.
    where : str or None
        A condition: all events for which it does not hold are passed over.
    name : str or None
        What its features are called instead of column and operation: ``late`` gives ``late_24h``.
    over : tuple of str
        Windows such as ``24h``; empty for a latest value.
    q : float or None
        The quantile's rank in (0, 1).
    ttl : str or None
        Age from which a latest value is stale.
    """

    operation: Operation
    column: str | None
    over: tuple[str, ...] = ()
    q: float | None = None
    ttl: str | None = None
    condition: str | None = None
    where: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name, what="feature")
        elif self.where is not None:
            raise InvalidDefinition(
                f"{self.operation} of {self.column or 'events'} where {self.where}: say what it is called, name='...'"
            )
        for window in self.over:
            length = seconds(window, what="window")
            if not SHORTEST_WINDOW_S <= length <= LONGEST_WINDOW_S:
                raise InvalidDefinition(
                    f"{self.operation} over {window!r}: a window lasts from 12 minutes to 366 days "
                    "(twelve tiles of a minute or more)"
                )
        if self.operation is Operation.QUANTILE and not (self.q is not None and 0 < self.q < 1):
            raise InvalidDefinition(f"quantile of {self.column!r}: rank {self.q!r} is not between 0 and 1")

    @property
    def measure(self) -> Measure:
        """What it takes of each event.

        Raises
        ------
        InvalidDefinition
            If what it says of its condition is none.
        """
        return Measure(
            column=self.column,
            condition=parse_condition(self.condition) if self.condition is not None else None,
            where=parse_condition(self.where) if self.where is not None else None,
            is_hashed=self.operation is Operation.DISTINCT,
        )


def tile_s(window_s: int) -> int:
    """Seconds of the tile by which a window of `window_s` seconds is computed."""
    return next(tile for tile in reversed(TILES_S) if tile * 12 <= window_s)


def count(
    column: str | None = None, *, over: str | Sequence[str], where: str | None = None, name: str | None = None
) -> Aggregate:
    """How many events, or how many non-null values of a column. 0 when there are none."""
    return Aggregate(operation=Operation.COUNT, column=column, over=_windows(over), where=where, name=name)


def sum(  # noqa: A001 - read as oc.sum
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None
) -> Aggregate:
    """Sum of the values; null when there are none."""
    return Aggregate(operation=Operation.SUM, column=column, over=_windows(over), where=where, name=name)


def mean(column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None) -> Aggregate:
    """Arithmetic mean; null when there are no values."""
    return Aggregate(operation=Operation.MEAN, column=column, over=_windows(over), where=where, name=name)


def min(  # noqa: A001 - read as oc.min
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None
) -> Aggregate:
    """Smallest value; null when there are none."""
    return Aggregate(operation=Operation.MIN, column=column, over=_windows(over), where=where, name=name)


def max(  # noqa: A001 - read as oc.max
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None
) -> Aggregate:
    """Largest value; null when there are none."""
    return Aggregate(operation=Operation.MAX, column=column, over=_windows(over), where=where, name=name)


def std(column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None) -> Aggregate:
    """Population standard deviation; null when there are no values."""
    return Aggregate(operation=Operation.STD, column=column, over=_windows(over), where=where, name=name)


def quantile(
    column: str, q: float, *, over: str | Sequence[str], where: str | None = None, name: str | None = None
) -> Aggregate:
    """The value of rank ``ceil(q * n)`` among values rounded to 7 significant bits; null when there are no values.

    The answer is within 0.8 % of the exact value of that rank, and whole numbers up to 128 are kept as they are. Counts
    per rounded value merge exactly in any order. The rounding is Veltkamp's (Dekker, Numerische Mathematik 18, 1971):
    plain IEEE arithmetic, so that every place that computes it gets the same bits.
    """
    return Aggregate(operation=Operation.QUANTILE, column=column, over=_windows(over), q=q, where=where, name=name)


def distinct(column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None) -> Aggregate:
    """How many different non-null values of a column of strings, whole numbers or truths. 0 when there are none.

    Exact below 1,024; an estimate with a standard error of 3 % from there on, the same wherever it is computed.
    """
    return Aggregate(operation=Operation.DISTINCT, column=column, over=_windows(over), where=where, name=name)


def rate(condition: str, *, name: str, over: str | Sequence[str], where: str | None = None) -> Aggregate:
    """Share of the events for which a condition holds, among those for which it is known whether it does.

    Null when there are none. ``oc.rate("arr_delay > 15", name="late", over="24h")`` is the feature ``late_24h``.
    """
    return Aggregate(
        operation=Operation.RATE, column=None, over=_windows(over), condition=condition, where=where, name=name
    )


def last(column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None) -> Aggregate:
    """The newest value by event time in the window; events of one time are ordered by when they became known."""
    return Aggregate(operation=Operation.LAST, column=column, over=_windows(over), where=where, name=name)


def latest(column: str, *, ttl: str, where: str | None = None, name: str | None = None) -> Aggregate:
    """The newest value by event time, stale from `ttl` on; events of one time are ordered by when they became known."""
    seconds(ttl, what="ttl")
    return Aggregate(operation=Operation.LATEST, column=column, ttl=ttl, where=where, name=name)


def _windows(over: str | Sequence[str]) -> tuple[str, ...]:
    windows = (over,) if isinstance(over, str) else tuple(over)
    if not windows:
        raise InvalidDefinition("an aggregate needs at least one window: over='24h'")
    return windows
