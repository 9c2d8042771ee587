"""How a training tells, while it runs, how good it is by now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from octavo.errors import TrainingFailed

Report: TypeAlias = Callable[[int, float], None]


def report(value: float, *, step: int) -> None:
    """Tell how good a training is by now, in the metric of the sweep that it is a trial of; else it does nothing.

    A sweep that prunes ends a trial that is worse than most before it were at the same step.

    Parameters
    ----------
    value : float
        On rows that the training keeps out for itself.
    step : int
        How far it is: a round, an epoch.
    """
    listener = _listener.get()
    if type(step) is not int or step < 0:
        raise TrainingFailed(f"oc.report(..., step={step!r}): a step is a number from 0 on")
    if listener is not None:
        listener(step, float(value))


@contextmanager
def reporting_to(listener: Report) -> Iterator[None]:
    """Have what is reported in this thread heard until the block ends."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


_listener: ContextVar[Report | None] = ContextVar("report_listener", default=None)
