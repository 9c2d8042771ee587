"""From values to pixels, and where the ticks stand."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from octavo.console.formatting import number, whole

_DAY_S = 86_400
_STEPS_S = (60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, *(days * _DAY_S for days in (1, 2, 3, 5, 7, 14, 30)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear scale from [low, high] to the pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + part * (self.end - self.start)

    def inside(self, value: float) -> float:
        """The pixel of a value, held within the scale."""
        return self(min(max(value, self.low), self.high))


def finite(values: Iterable[float | None]) -> list[float]:
    """Those values that can be drawn."""
    return [value for value in values if value is not None and math.isfinite(value)]


def ticks(low: float, high: float, *, count: int = 4) -> list[float]:
    """About `count` round values that cover [low, high]."""
    if not high > low:
        low, high = low - (abs(low) / 2 or 1), high + (abs(high) / 2 or 1)
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_label(mark: float) -> str:
    """A round value as it stands on an axis: without zeros that say nothing."""
    if abs(mark) >= 1e6:
        return number(mark)
    return whole(int(mark)) if mark == int(mark) else f"{mark:g}".replace("-", "−")


def time_ticks(start: datetime, end: datetime, *, count: int = 7) -> list[tuple[datetime, str]]:
    """At most about `count` round moments within [start, end] with their labels, in UTC."""
    span = max((end - start).total_seconds(), 1)
    step = next((s for s in _STEPS_S if span / s <= count), math.ceil(span / count / _DAY_S) * _DAY_S)
    base = datetime(start.year, start.month, start.day, tzinfo=UTC)
    first = math.ceil((start - base).total_seconds() / step)
    moments = []
    at = base + timedelta(seconds=first * step)
    while at <= end:
        moments.append((at, _label(at, step)))
        at += timedelta(seconds=step)
    return moments


def _label(at: datetime, step: int) -> str:
    day = f"{at.day} {at:%b}"
    if step >= _DAY_S or (at.hour, at.minute) == (0, 0):
        return day
    return f"{at:%H:%M}"
