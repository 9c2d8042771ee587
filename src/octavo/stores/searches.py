"""Searches among records: which fields are compared with what, in which order, and from where on.

A search is data. Values travel beside the query to the database, never within its text.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

R = TypeVar("R")
Value = str | float | None

NUMBER = r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?"
"""Text that is also found as a number: a parameter, which is kept as text."""

INFINITE = {"inf": math.inf, "-inf": -math.inf}
"""How numbers that JSON cannot hold are written."""

_NUMBER = re.compile(NUMBER)


class Comparing(StrEnum):
    """How a field is compared; ``like`` and ``ilike`` take ``%`` for any text and ``_`` for any character."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "like"
    ILIKE = "ilike"
    IN = "in"
    NOT_IN = "not in"
    PRESENT = "is not null"
    ABSENT = "is null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A field of the record compared with a value, or with several.

    A field that is absent fulfils none but ``is null``; nor does a number that is NaN.

    Attributes
    ----------
    path : tuple of str
        From the record down: ``("metrics", "auc")``.
    values : tuple
        Text or numbers, all of one kind, which is also how the field is read; none for ``is null`` and its contrary.
    """

    path: tuple[str, ...]
    comparing: Comparing
    values: tuple[str, ...] | tuple[float, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether numbers are compared."""
        return bool(self.values) and not isinstance(self.values[0], str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A field to sort by; records without it, or where it is NaN, come last either way."""

    path: tuple[str, ...]
    descending: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which records, and in which order; what no order tells apart comes newest first.

    Attributes
    ----------
    where : sequence of Condition
        All must be fulfilled.
    after : tuple or None
        The place of the record after which it goes on, as `Found.last` told it.
    """

    where: Sequence[Condition] = ()
    order: Sequence[Order] = ()
    limit: int = 50
    after: tuple[Value, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[R]):
    """Some of the records that fulfil a search.

    Attributes
    ----------
    last : tuple or None
        The place of the last, to go on after it; None if no more follow.
    """

    records: list[R] = field(default_factory=list)
    last: tuple[Value, ...] | None = None


def is_like(found: str, text: str, *, any_case: bool) -> bool:
    """What `Comparing.LIKE` means, whether or not it minds the case of ASCII letters.

    Each piece between two ``%`` is taken where it stands first. One regular expression for all of them would try every
    place of each with every place of the others, which takes years where nothing fits.
    """
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if any_case else 0)
    first, *pieces = (
        re.compile("".join("." if c == "_" else re.escape(c) for c in piece), flags) for piece in text.split("%")
    )
    if not pieces:
        return first.fullmatch(found) is not None
    begun = first.match(found)
    if begun is None:
        return False
    place, (*middle, last) = begun.end(), pieces
    for piece in middle:
        match = piece.search(found, place)
        if match is None:
            return False
        place = match.end()
    length = len(text.rpartition("%")[2])  # each sign of a pattern stands for one
    return len(found) - length >= place and last.fullmatch(found, len(found) - length) is not None


def number_in(value: object) -> float | None:
    """The number that a plain value is or names; None if it is none, or NaN."""
    if isinstance(value, str):
        if value in INFINITE:
            return INFINITE[value]
        return float(value) if _NUMBER.fullmatch(value) else None
    number = float(value) if isinstance(value, int | float) else math.nan
    return None if math.isnan(number) else number
