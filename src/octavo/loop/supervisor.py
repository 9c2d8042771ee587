"""``octavo up``: control, worker and predictor as children of one process that keeps them running."""

from collections.abc import Callable
from dataclasses import dataclass

from octavo.config import Config
from octavo.processes import RunningProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProject:
    """Where a project that is up can be reached."""

    control: RunningProcess
    predictor: RunningProcess


def run_project(config: Config, *, on_ready: Callable[[RunningProject], None] = lambda running: None) -> None:
    """Run a project until SIGINT or SIGTERM; then nothing of it is left running.

    Parameters
    ----------
    on_ready : callable
        Called once, when all three processes are ready.

    Raises
    ------
    ConfigurationError
        If a port is taken.
    Conflict
        If the project is up already.
    """
