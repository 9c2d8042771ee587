"""What a deployment does while features cannot be read, and while it is stopped."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Fallback:
    """An answer for rows about which the model is not asked."""

    value: float


OnUnread = Literal["predict", "reject"] | Fallback
"""The model predicts from what there is; the request is refused; or a constant answers."""

OnStop = Literal["reject"] | Fallback
"""The request is refused, or a constant answers."""


def fallback(value: float) -> Fallback:
    """A constant answer for rows whose features cannot be read.

    Parameters
    ----------
    value : float
        What is answered instead of a prediction.

    Raises
    ------
    InvalidDefinition
        If it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InvalidDefinition(
            f"fallback {value!r} is no finite number; give the answer itself, as in oc.fallback(0.0)"
        )
    return Fallback(float(value))


def check_on_unread(on_unread: object, *, deployment: str) -> None:
    """Check what a deployment declares.

    Raises
    ------
    InvalidDefinition
        If it is none of what there is.
    """
    if on_unread not in ("predict", "reject") and not isinstance(on_unread, Fallback):
        raise InvalidDefinition(
            f"deployment {deployment!r}: on_unread {on_unread!r} is neither 'predict', 'reject' nor oc.fallback(VALUE)"
        )


def on_stop_of(on_stop: object, on_unread: OnUnread, *, deployment: str) -> OnStop:
    """What a deployment does while it is stopped: what it declares, or else the constant that it declares anyway.

    Raises
    ------
    InvalidDefinition
        If it is none of what there is.
    """
    if on_stop is None:
        return on_unread if isinstance(on_unread, Fallback) else "reject"
    if on_stop == "reject" or isinstance(on_stop, Fallback):
        return "reject" if on_stop == "reject" else on_stop
    raise InvalidDefinition(
        f"deployment {deployment!r}: on_stop {on_stop!r} is neither 'reject' nor oc.fallback(VALUE)"
    )
