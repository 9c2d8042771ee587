"""The ways on which a run's requests reach the operations that keep it, and the run at the end of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from octavo.operations import Context
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.artifacts import PutRunArtifact, put_artifact
from octavo.training.tracking.lost import wall_now
from octavo.training.tracking.numbers import plain
from octavo.training.tracking.operations import (
    CreateRun,
    EndRun,
    LoggedPoint,
    LogToRun,
    create_run,
    end_run,
    log_to_run,
)
from octavo.training.tracking.outbox import Batch, Outbox

_PATIENCE_S = 5.0


class Line(Protocol):
    """Has an operation run, here or elsewhere. May be called by several threads."""

    def call(self, request: object) -> Any:
        """What the operation that takes `request` answers.

        Raises
        ------
        Unavailable
            If it cannot be reached; the request may be sent again.
        OctavoError
            Whatever the operation raises.
        """

    def now(self) -> datetime:
        """The time there, as far as it is known here."""

    def close(self) -> None:
        """Release what is held."""


class RunThere:
    """A run at the end of a line; see `octavo.training.tracking.recorder.Destination`.

    Parameters
    ----------
    keeps_line : bool
        Whether the line is another's, and stays open when the run ends.
    """

    def __init__(self, run: str, line: Line, *, keeps_line: bool) -> None:
        self.line = line
        self._run, self._keeps_line = run, keeps_line

    def log(self, batch: Batch) -> None:
        """Deliver a batch, and that the run's process lives."""
        self._log(batch, alive=True)

    def put(self, name: str, data: bytes) -> None:
        """Deliver an artifact."""
        self.line.call(PutRunArtifact(run=self._run, name=name, data=data))

    def end(self, status: RunStatus, *, error: str, at: datetime) -> None:
        """Record how the run ended."""
        self.line.call(EndRun(run=self._run, status=status, error=error, finished_at=at))

    def close(self) -> None:
        """Close the line, if it is the run's own."""
        if not self._keeps_line:
            self.line.close()

    def _log(self, batch: Batch, *, alive: bool) -> None:
        points = tuple(LoggedPoint(name=p.name, value=plain(p.value), step=p.step, at=p.at) for p in batch.points)
        self.line.call(LogToRun(run=self._run, params=batch.params, tags=batch.tags, points=points, alive=alive))


class TrainingThere(RunThere):
    """The run of a training, which ends when the training does; whoever trains watches over it."""

    def log(self, batch: Batch) -> None:
        """Deliver a batch."""
        if batch:
            self._log(batch, alive=False)

    def end(self, status: RunStatus, *, error: str, at: datetime) -> None:
        """Nothing: whoever trains records it."""


@contextmanager
def giving_signs(context: Context, run: Run) -> Iterator[None]:
    """Have a run in this process give signs of life until the block ends; whoever uses it records how it ended."""
    with context.transaction() as tx:
        tx.put(replace(run, heard_at=wall_now()))
    signs = Outbox(RunThere(run.id, ContextLine(context), keeps_line=True))
    try:
        yield
    finally:
        signs.close(_PATIENCE_S)


class ContextLine:
    """A line to the operations in this process, for code that runs as a part of a training."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def call(self, request: object) -> Any:
        """See `Line.call`."""
        if isinstance(request, PutRunArtifact):
            return put_artifact(request, replace(self._context, tx=None))
        with self._context.stores.metadata.transaction() as tx:
            context = replace(self._context, tx=tx)
            match request:
                case CreateRun():
                    return create_run(request, context)
                case LogToRun():
                    return log_to_run(request, context)
                case EndRun():
                    return end_run(request, context)
        raise TypeError(f"a run has no use for {type(request).__name__}")

    def now(self) -> datetime:
        """See `Line.now`."""
        return self._context.clock.now()

    def close(self) -> None:
        """Nothing is held."""
