"""A training as a durable workflow: trained and registered by a process of its own, then released where it is wanted.

The process of its own keeps the worker quick, gives its memory back, and cannot take the worker with it. Under a replay
the clock may run on meanwhile, by as much as the project allows.
"""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta

from octavo.definitions.types import seconds
from octavo.errors import NotFound
from octavo.loop.agenda import Agenda
from octavo.loop.durable import Execution
from octavo.loop.membership import claim_variable
from octavo.loop.retrainings import tell
from octavo.loop.trainings import UNDER_WAY, record_interrupted, request_releases
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.training.runs import Run, RunStatus

log = logging.getLogger(__name__)

_AT_ONCE = 2
_POLL_S = 0.05


class TrainingWorkflow:
    """Trains models.

    Parameters
    ----------
    ship : callable
        Brings all that was recorded up to now into the tables.
    released : callable
        Told of the ids of releases that were asked for; returns when the clock may go on.
    """

    def __init__(
        self, context: Context, agenda: Agenda, *, ship: Callable[[], None], released: Callable[[list[str]], None]
    ) -> None:
        self._context = context
        self._agenda = agenda
        self._ship = ship
        self._released = released
        self._turns = threading.Semaphore(_AT_ONCE)
        self._max_lag = timedelta(seconds=seconds(context.config.clock.max_lag, what="[clock] max_lag"))

    def run(self, execution: Execution) -> None:
        """Take one run from its request to the release of what it made."""
        run = self._run(execution.id)
        execution.appointment.move_to(run.as_of + self._max_lag)
        if version := execution.step("train", lambda: self._train(execution.id)):
            execution.step("release", lambda: self._release(execution.id, int(version)))

    def _train(self, run_id: str) -> str:
        """Train and register; the number of the version, or empty if none was made."""
        while not self._turns.acquire(timeout=_POLL_S):
            self._agenda.pause(0.0)
        try:
            run = self._run(run_id)
            if run.status in UNDER_WAY or (run.status is RunStatus.SUCCEEDED and run.version is None):
                self._ship()
                self._train_apart(run)
        finally:
            self._turns.release()
        done = self._run(run_id)
        if done.version is None:
            self._tell(done, f"retraining failed: {done.error}")
            return ""
        self._tell(done, f"version {done.version} trained")
        return str(done.version)

    def _train_apart(self, run: Run) -> None:
        """Have a process of its own do it; one that ends badly leaves a failed run, one that is stopped an open one."""
        log.info("run %s: training %s as of %s (%s)", run.id, run.model, run.as_of.isoformat(), run.trigger)
        root, environment = self._context.config.root, {**os.environ, **claim_variable(self._context.stores.metadata)}
        with subprocess.Popen(command_of(run), cwd=root, env=environment, stdin=subprocess.PIPE) as process:
            try:
                while process.poll() is None:
                    self._agenda.pause(_POLL_S)
            finally:
                process.kill()
        if process.returncode != 0:
            ended = f"by signal {-process.returncode}" if process.returncode < 0 else f"with code {process.returncode}"
            record_interrupted(self._context, run, error=f"the process that trained ended {ended}; see its log")

    def _release(self, run_id: str, number: int) -> str:
        run = self._run(run_id)
        with self._context.transaction() as tx:
            version = tx.get(ModelVersion, f"{run.model}/{number}")
        if version is None:
            raise NotFound("model version", f"{run.model}/{number}")
        failed = [result for result in version.gates if not result.passed]
        if failed:
            log.warning("%s %d did not pass %s (%s)", run.model, number, failed[0].gate, failed[0].evidence)
            self._tell(run, f"version {number} did not pass {failed[0].gate} ({failed[0].evidence})")
        releases = request_releases(self._context, version, cause=run.trigger)
        self._released([release.id for release in releases if release.state.in_progress])
        return ",".join(release.id for release in releases)

    def _tell(self, run: Run, text: str) -> None:
        tell(self._context, model=run.model, run=run.id, text=text)

    def _run(self, run_id: str) -> Run:
        with self._context.transaction() as tx:
            run = tx.get(Run, run_id)
        if run is None:
            raise NotFound("run", run_id)
        return run


def command_of(run: Run) -> list[str]:
    """What trains a run; it ends when its input is closed."""
    return [sys.executable, "-m", "octavo.loop", "train", run.id]
