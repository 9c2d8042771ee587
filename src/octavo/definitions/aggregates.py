"""Aggregates and latest values, as a user declares them; `octavo.features.offline.sql` computes them offline.

A window of length W at time T covers event times in [T - W, T), its far edge rounded down to the window's tile, and
only events that were known before T. The tile is the largest of 5 s, 15 s, 1 m, 5 m, 15 m, 1 h, 6 h and 1 d that is at
most W / 12, so that every window is read from 12 tiles or more and is at most 8.4 % longer than declared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Unpack

from octavo.definitions.about import About, check_about
from octavo.definitions.conditions import parse_condition
from octavo.definitions.measures import Measure
from octavo.definitions.types import check_name, seconds
from octavo.errors import InvalidDefinition

TILES_S = (5, 15, 60, 300, 900, 3_600, 21_600, 86_400)
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 60, 366 * 86_400
MOST_HALF_LIVES = 64
"""Of a window over which values decay: what is older would weigh less than the last bit of a float64."""
MOST_NEWEST = 32


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
    FIRST = "first"
    LAST = "last"
    LAST_K = "last_k"
    LATEST = "latest"
    DECAYED_SUM = "decayed_sum"
    DECAYED_COUNT = "decayed_count"

    @property
    def is_of_newest(self) -> bool:
        """Whether it is the value of one event, the newest that has one or the k-th newest."""
        return self in (Operation.LAST, Operation.LAST_K, Operation.LATEST)

    @property
    def decays(self) -> bool:
        """Whether values weigh less as they grow older."""
        return self in (Operation.DECAYED_SUM, Operation.DECAYED_COUNT)

    @property
    def counts(self) -> bool:
        """Whether it is a number of things, which is 0 where there are none."""
        return self in (Operation.COUNT, Operation.DISTINCT, Operation.DECAYED_COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One operation over a measure of events for any number of windows; made by `mean`, `count` and their like.

    Attributes
    ----------
    column : str or None
        None for a count of events, decayed or not, and a rate.
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
    k : int or None
        How many of the newest values, each a feature of its own.
    half_life : str or None
        Age at which a decaying value counts half.
    about : About
        Said of each of its features.
    """

    operation: Operation
    column: str | None
    over: tuple[str, ...] = ()
    q: float | None = None
    ttl: str | None = None
    k: int | None = None
    half_life: str | None = None
    condition: str | None = None
    where: str | None = None
    name: str | None = None
    about: About = field(default_factory=About)

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
                    f"{self.operation} over {window!r}: a window lasts from a minute to 366 days "
                    "(twelve tiles of five seconds or more)"
                )
        check_about(self.about, what=f"{self.operation} of {self.column or self.condition or 'events'}")
        if self.operation is Operation.QUANTILE and not (self.q is not None and 0 < self.q < 1):
            raise InvalidDefinition(f"quantile of {self.column!r}: rank {self.q!r} is not between 0 and 1")
        if self.operation is Operation.LAST_K and not (type(self.k) is int and 1 <= self.k <= MOST_NEWEST):
            raise InvalidDefinition(
                f"last_k of {self.column!r}: k={self.k!r} is no whole number from 1 to {MOST_NEWEST}"
            )
        if self.operation.decays:
            self._check_decay()

    def _check_decay(self) -> None:
        half_life_s = seconds(self.half_life or "", what="half-life")
        for window in self.over:
            if seconds(window) > MOST_HALF_LIVES * half_life_s:
                raise InvalidDefinition(
                    f"{self.operation} of {self.column or 'events'} over {window!r} with half_life={self.half_life!r}: "
                    f"what is older than {MOST_HALF_LIVES} half-lives weighs nothing; shorten the window or lengthen "
                    "the half-life"
                )

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
    column: str | None = None,
    *,
    over: str | Sequence[str],
    where: str | None = None,
    name: str | None = None,
    **about: Unpack[About],
) -> Aggregate:
    """How many events, or how many non-null values of a column. 0 when there are none."""
    return Aggregate(operation=Operation.COUNT, column=column, over=_windows(over), where=where, name=name, about=about)


def sum(  # noqa: A001 - read as oc.sum
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """Sum of the values; null when there are none."""
    return Aggregate(operation=Operation.SUM, column=column, over=_windows(over), where=where, name=name, about=about)


def mean(
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """Arithmetic mean; null when there are no values."""
    return Aggregate(operation=Operation.MEAN, column=column, over=_windows(over), where=where, name=name, about=about)


def min(  # noqa: A001 - read as oc.min
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """Smallest value; null when there are none."""
    return Aggregate(operation=Operation.MIN, column=column, over=_windows(over), where=where, name=name, about=about)


def max(  # noqa: A001 - read as oc.max
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """Largest value; null when there are none."""
    return Aggregate(operation=Operation.MAX, column=column, over=_windows(over), where=where, name=name, about=about)


def std(
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """Population standard deviation; null when there are no values."""
    return Aggregate(operation=Operation.STD, column=column, over=_windows(over), where=where, name=name, about=about)


def quantile(
    column: str,
    q: float,
    *,
    over: str | Sequence[str],
    where: str | None = None,
    name: str | None = None,
    **about: Unpack[About],
) -> Aggregate:
    """The value of rank ``ceil(q * n)`` among values rounded to 7 significant bits; null when there are no values.

    The answer is within 0.8 % of the exact value of that rank, and whole numbers up to 128 are kept as they are. Counts
    per rounded value merge exactly in any order. The rounding is Veltkamp's (Dekker, Numerische Mathematik 18, 1971):
    plain IEEE arithmetic, so that every place that computes it gets the same bits.
    """
    return Aggregate(
        operation=Operation.QUANTILE, column=column, over=_windows(over), q=q, where=where, name=name, about=about
    )


def distinct(
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """How many different non-null values of a column of strings, whole numbers or truths. 0 when there are none.

    Exact below 1,024; an estimate with a standard error of 3 % from there on, the same wherever it is computed.
    """
    return Aggregate(
        operation=Operation.DISTINCT, column=column, over=_windows(over), where=where, name=name, about=about
    )


def rate(
    condition: str, *, name: str, over: str | Sequence[str], where: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """Share of the events for which a condition holds, among those for which it is known whether it does.

    Null when there are none. ``oc.rate("arr_delay > 15", name="late", over="24h")`` is the feature ``late_24h``.
    """
    return Aggregate(
        operation=Operation.RATE,
        column=None,
        over=_windows(over),
        condition=condition,
        where=where,
        name=name,
        about=about,
    )


def decayed_sum(
    column: str,
    *,
    half_life: str,
    over: str | Sequence[str],
    where: str | None = None,
    name: str | None = None,
    **about: Unpack[About],
) -> Aggregate:
    """Sum in which a value of age a weighs 2 ** (-a / half_life); null when there are no values in the window.

    The age is that of the event at the moment of asking, to the microsecond; the window is at most 64 half-lives long.
    ``oc.decayed_sum("amount", half_life="1d", over="30d")`` is the feature ``amount_decayed_sum_1d_30d``.
    """
    return Aggregate(
        operation=Operation.DECAYED_SUM,
        column=column,
        over=_windows(over),
        half_life=half_life,
        where=where,
        name=name,
        about=about,
    )


def decayed_count(
    *,
    half_life: str,
    over: str | Sequence[str],
    where: str | None = None,
    name: str | None = None,
    **about: Unpack[About],
) -> Aggregate:
    """How many events there are, one of age a counting as 2 ** (-a / half_life). 0 when there are none."""
    return Aggregate(
        operation=Operation.DECAYED_COUNT,
        column=None,
        over=_windows(over),
        half_life=half_life,
        where=where,
        name=name,
        about=about,
    )


def first(
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """The oldest value by event time in the window; events of one time are ordered by when they became known."""
    return Aggregate(operation=Operation.FIRST, column=column, over=_windows(over), where=where, name=name, about=about)


def last_k(
    column: str,
    k: int,
    *,
    over: str | Sequence[str],
    where: str | None = None,
    name: str | None = None,
    **about: Unpack[About],
) -> Aggregate:
    """The k newest values by event time in the window, k from 1 to 32, each a feature; null where there are fewer.

    ``oc.last_k("amount", 3, over="7d")`` gives ``amount_last1_7d``, the newest, to ``amount_last3_7d``.
    """
    return Aggregate(
        operation=Operation.LAST_K, column=column, over=_windows(over), k=k, where=where, name=name, about=about
    )


def last(
    column: str, *, over: str | Sequence[str], where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """The newest value by event time in the window; events of one time are ordered by when they became known."""
    return Aggregate(operation=Operation.LAST, column=column, over=_windows(over), where=where, name=name, about=about)


def latest(
    column: str, *, ttl: str, where: str | None = None, name: str | None = None, **about: Unpack[About]
) -> Aggregate:
    """The newest value by event time, stale from `ttl` on; events of one time are ordered by when they became known."""
    seconds(ttl, what="ttl")
    return Aggregate(operation=Operation.LATEST, column=column, ttl=ttl, where=where, name=name, about=about)


def _windows(over: str | Sequence[str]) -> tuple[str, ...]:
    windows = (over,) if isinstance(over, str) else tuple(over)
    if not windows:
        raise InvalidDefinition("an aggregate needs at least one window: over='24h'")
    return windows
