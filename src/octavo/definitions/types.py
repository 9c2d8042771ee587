"""The types of columns, and names and durations as users write them. The only type system in Octavo."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from octavo.errors import InvalidDefinition

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class DType(StrEnum):
    """The type of a column. Every column may hold nulls unless it is a key or a time."""

    FLOAT64 = "float64"
    INT64 = "int64"
    BOOL = "bool"
    STRING = "string"
    TIMESTAMP = "timestamp"
    """An instant: microseconds, UTC. On the wire an RFC 3339 string with an offset."""

    @property
    def is_numeric(self) -> bool:
        """Whether a model takes it as a number."""
        return self in (DType.FLOAT64, DType.INT64, DType.BOOL)


Float64, Int64, Bool, String, Timestamp = DType.FLOAT64, DType.INT64, DType.BOOL, DType.STRING, DType.TIMESTAMP


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A named, typed column."""

    name: str
    dtype: DType


Schema = tuple[Field, ...]


def schema_of(columns: Mapping[str, DType], *, owner: str) -> Schema:
    """Check and freeze a schema.

    Parameters
    ----------
    columns : mapping of name to type
    owner : str
        What the schema belongs to, for messages.
    """
    for name, dtype in columns.items():
        check_name(name, what=f"column of {owner}")
        if not isinstance(dtype, DType):
            raise InvalidDefinition(
                f"{owner}: column {name!r} has type {dtype!r}; "
                "use one of oc.Float64, oc.Int64, oc.Bool, oc.String, oc.Timestamp"
            )
    return tuple(Field(name=name, dtype=dtype) for name, dtype in columns.items())


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
