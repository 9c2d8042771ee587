"""Runs whose process is no longer heard of: killed by force, or gone with its machine.

A run's process gives signs of life, also while it logs nothing. One whose signs stay away is lost, which is no more
than that: a process that was only cut off is heard of again, and its run goes on. Silence is measured by the wall
clock, since processes live by it whatever the time of a replay is.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from octavo.operations import Context
from octavo.training.runs import Run, RunStatus

SILENT_FOR = timedelta(minutes=10)
"""Some twenty signs of life that did not come."""

_EVERY_S = 60.0


def wall_now() -> datetime:
    """The time outside, which no replay changes."""
    return datetime.now(UTC)


def heard(run: Run, *, now: datetime) -> Run:
    """A run whose process has given a sign of life; a lost one is running again. One that never gives any stays so."""
    if run.heard_at is None:
        return run
    found = replace(run, heard_at=now)
    if run.status is not RunStatus.LOST:
        return found
    return replace(found, status=RunStatus.RUNNING, finished_at=None, seconds=0.0, error="")


class LostRuns:
    """Looks for lost runs now and then, first when those that live have had time to say so.

    Parameters
    ----------
    context : Context
    timer : callable
        Seconds, rising.
    """

    def __init__(self, context: Context, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._context, self._timer = context, timer
        self._again_s = timer() + _EVERY_S

    def look(self) -> None:
        """Record what is lost, if it is time."""
        if self._timer() >= self._again_s:
            self._again_s = self._timer() + _EVERY_S
            record_lost(self._context)


def record_lost(context: Context, *, now: datetime | None = None) -> tuple[str, ...]:
    """Record which runs are lost by now.

    Returns
    -------
    tuple of str
        Their ids.
    """
    now, lost = now or wall_now(), []
    with context.transaction() as tx:
        for run in tx.find(Run, status=RunStatus.RUNNING):
            if run.heard_at is not None and now - run.heard_at > SILENT_FOR:
                tx.put(_lost(run, run.heard_at, ended_at=context.clock.now() - (now - run.heard_at)))
                context.audit(tx, "runs.lost", target=f"run={run.id}")
                lost.append(run.id)
    return tuple(lost)


def _lost(run: Run, heard_at: datetime, *, ended_at: datetime) -> Run:
    finished_at = max(run.started_at, ended_at)
    return replace(
        run,
        status=RunStatus.LOST,
        finished_at=finished_at,
        seconds=(finished_at - run.started_at).total_seconds(),
        error=f"its process has not been heard of since {heard_at:%Y-%m-%d %H:%M:%S} UTC",
    )
