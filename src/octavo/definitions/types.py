"""The types of columns, and names and durations as users write them. The only type system in Octavo."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from octavo.errors import InvalidDefinition

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?)?B?\s*", re.IGNORECASE)
_UNIT_BYTES = {"": 1} | {
    letter + binary: base**power
    for power, letter in enumerate("kmgt", start=1)
    for binary, base in (("", 1000), ("i", 1024))
}
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class DType(StrEnum):
    """The type of a column. Every column may hold nulls unless it is a key or a time."""

    FLOAT64 = "float64"
    INT64 = "int64"
    BOOL = "bool"
    STRING = "string"
    CATEGORY = "category"
    """A string of a request that is an input of the model: one of the words that training knew. No type of a column."""
    TIMESTAMP = "timestamp"
    """An instant: microseconds, UTC. On the wire an RFC 3339 string with an offset."""
    VECTOR = "vector"
    """Finite numbers, as many in every event; declared as `Vector`."""
    LIST = "list"
    """Values of one type, in each event any number of them; declared as `List`."""

    @property
    def is_numeric(self) -> bool:
        """Whether a model takes it as a number."""
        return self in (DType.FLOAT64, DType.INT64, DType.BOOL)

    @property
    def is_input(self) -> bool:
        """Whether a request field of it is an input of the model."""
        return self.is_numeric or self is DType.CATEGORY

    @property
    def is_text(self) -> bool:
        """Whether its values are strings."""
        return self in (DType.STRING, DType.CATEGORY)


Float64, Int64, Bool, String, Timestamp = DType.FLOAT64, DType.INT64, DType.BOOL, DType.STRING, DType.TIMESTAMP
Category = DType.CATEGORY


LONGEST_VECTOR = 4096
LONGEST_LIST = 1000


@dataclass(frozen=True, slots=True)
class Vector:
    """The type of a column of embeddings: lists of `length` finite numbers.

    Parameters
    ----------
    length : int
        From 1 to 4,096.
    """

    length: int

    def __post_init__(self) -> None:
        if type(self.length) is not int or not 1 <= self.length <= LONGEST_VECTOR:
            raise InvalidDefinition(
                f"oc.Vector({self.length!r}): its length is a whole number from 1 to {LONGEST_VECTOR}"
            )


@dataclass(frozen=True, slots=True)
class List:
    """The type of a column of lists: what is in a basket, the codes of a diagnosis.

    Conditions ask whether a value is in it (``'milk' in basket``), and ``len(basket)`` is a number wherever a column of
    numbers is taken.

    Parameters
    ----------
    item : DType
        String, Int64 or Float64. A list holds at most 1,000 of them, and no null.
    """

    item: DType

    def __post_init__(self) -> None:
        if self.item not in (DType.STRING, DType.INT64, DType.FLOAT64):
            raise InvalidDefinition(f"oc.List({self.item!r}): a list is of oc.String, oc.Int64 or oc.Float64")


ColumnType = DType | Vector | List
"""What a user declares a column as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A named, typed column.

    Attributes
    ----------
    length : int
        How many numbers a vector has; 0 for every other type.
    item : DType or None
        What a list holds; None for every other type.
    """

    name: str
    dtype: DType
    length: int = 0
    item: DType | None = None

    @property
    def type_name(self) -> str:
        """The type as people read it: ``float64``, ``vector(8)``, ``list(string)``."""
        of = self.item or self.length
        return f"{self.dtype}({of})" if of else self.dtype.value


Schema = tuple[Field, ...]


def schema_of(columns: Mapping[str, ColumnType], *, owner: str) -> Schema:
    """Check and freeze a schema.

    Parameters
    ----------
    columns : mapping of name to type
    owner : str
        What the schema belongs to, for messages.
    """
    for name, dtype in columns.items():
        check_name(name, what=f"column of {owner}")
        if dtype is DType.CATEGORY:
            raise InvalidDefinition(
                f"{owner}: column {name!r} is an oc.Category, which only a request field can be; declare the column as "
                "oc.String, and the field by oc.request(name, oc.Category)"
            )
        if not isinstance(dtype, ColumnType) or dtype in (DType.VECTOR, DType.LIST):
            raise InvalidDefinition(
                f"{owner}: column {name!r} has type {dtype!r}; use one of oc.Float64, oc.Int64, oc.Bool, oc.String, "
                "oc.Timestamp, oc.Vector(length), oc.List(type)"
            )
    return tuple(_field(name, dtype) for name, dtype in columns.items())


def _field(name: str, dtype: ColumnType) -> Field:
    if isinstance(dtype, List):
        return Field(name=name, dtype=DType.LIST, item=dtype.item)
    if isinstance(dtype, Vector):
        return Field(name=name, dtype=DType.VECTOR, length=dtype.length)
    return Field(name=name, dtype=dtype)


def check_name(name: str, *, what: str) -> str:
    """A name that is safe in URLs, file names and SQL.

    Raises
    ------
    InvalidDefinition
        If it is not lower-case snake case of at most 63 characters.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidDefinition(
            f"{name!r} cannot name a {what}: use lower-case letters, digits and underscores, starting with a letter"
        )
    return name


def size_bytes(size: str, *, what: str = "size") -> int:
    """Bytes of a size such as ``512MB``, ``2GB`` or ``1.5GiB``.

    Raises
    ------
    InvalidDefinition
        If it is none.
    """
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if match is None:
        raise InvalidDefinition(f"{size!r} is no {what}: write a number and kB, MB, GB, KiB, MiB or GiB: '2GB'")
    return int(float(match[1]) * _UNIT_BYTES[(match[2] or "").lower()])


def seconds(duration: str, *, what: str = "duration") -> int:
    """Seconds of a duration such as ``90s``, ``15m``, ``24h``, ``7d`` or ``2w``.

    Raises
    ------
    InvalidDefinition
        If it is not a whole number of units, or not positive.
    """
    match = _DURATION.match(duration) if isinstance(duration, str) else None
    if match is None or int(match[1]) == 0:
        raise InvalidDefinition(f"{duration!r} is no {what}: write a positive whole number and s, m, h, d or w: '24h'")
    return int(match[1]) * _UNIT_S[match[2]]
