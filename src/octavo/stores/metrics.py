"""The histories of metrics: what a point of one is, and which of several is the latest."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """A value that a run measured at a step.

    Attributes
    ----------
    at : datetime
        When it was measured, to the microsecond.
    value : float
        May be NaN or infinite.
    """

    run: str
    name: str
    step: int
    at: datetime
    value: float

    @property
    def place(self) -> tuple[int, datetime, bool, float]:
        """Where it stands in its history: by step, moment and value, NaN before all; the last is the latest.

        It does not depend on the order in which points arrive, so that those sent twice or by several processes come
        to the same.
        """
        missing = math.isnan(self.value)
        return (self.step, self.at, not missing, 0.0 if missing else self.value)


def latest(points: Iterable[MetricPoint]) -> dict[tuple[str, str], MetricPoint]:
    """The latest point by run and name."""
    found: dict[tuple[str, str], MetricPoint] = {}
    for point in points:
        key = (point.run, point.name)
        if key not in found or point.place > found[key].place:
            found[key] = point
    return found
