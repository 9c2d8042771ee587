"""Values of metrics as JSON can say them."""

import math

from octavo.errors import InvalidRequest

_UNFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def plain(value: float) -> float | str:
    """A number as JSON can say it."""
    return value if math.isfinite(value) else str(value)


def number_of(value: float | str) -> float:
    """The number that was logged.

    Raises
    ------
    InvalidRequest
        If text names none of those that JSON cannot say.
    """
    if isinstance(value, str):
        if value.lower() not in _UNFINITE:
            raise InvalidRequest(f"{value!r} is no value", field="points", fix="send a number, or nan, inf or -inf")
        return _UNFINITE[value.lower()]
    return float(value)
