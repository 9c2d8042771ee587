"""Measured values, as people read them."""

from octavo.training.reports import Interval

_FULL, _PARTS = "█", " ▏▎▍▌▋▊▉"


def number(value: float) -> str:
    """A measured number, to four digits."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """A length of time, in days from two days on, else in hours, minutes or seconds."""
    for unit, size, least in (("d", 86_400, 2), ("h", 3_600, 1), ("min", 60, 1)):
        if seconds >= least * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def bar(share: float, *, width: int = 20) -> str:
    """A share in [0, 1] as a bar of at most `width` characters."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return (_FULL * whole + (_PARTS[rest] if rest else "")).strip()


def interval(measured: Interval | None) -> str:
    """A value and its 95 % interval."""
    if measured is None:
        return "-"
    return f"{number(measured.value)} ({number(measured.low)} to {number(measured.high)})"
