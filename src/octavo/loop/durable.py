"""Workflows that survive the death of their process: each goes on in the next one, from the first step not yet done.

DBOS keeps which steps are done, in a database of its own. What a workflow is about stands in the metadata, in one
record by whose id the workflow is known; so a step that was taken but not noted may be taken again.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from octavo.loop.agenda import Agenda, Appointment

log = logging.getLogger(__name__)

SHAPE = "1"
"""Rises when steps change their order or names: what was begun in another shape begins anew, from its record."""

_EXECUTOR = "worker"
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_NAP_S = 0.1
_AWAITED_FAILURES = 4
"""So often a replay's clock stands until the workflow is under way again; then it goes on without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A workflow under way.

    Attributes
    ----------
    id : str
        Of the record that it is about.
    appointment : Appointment
        Its own, open from its beginning to its end.
    step : callable
        ``step(name, function)`` runs the function and notes its answer; what is noted already is not run again.
    """

    id: str
    appointment: Appointment
    step: Callable[[str, Callable[[], str]], str]


Workflow: TypeAlias = Callable[[Execution], None]


class DurableWorkflows:
    """Runs workflows, each in a thread of its own. A process has one at a time.

    Parameters
    ----------
    database : Path
        Made if absent.
    workflows : mapping of name to Workflow
    agenda : Agenda
        What waits for it when it is stopped goes on in the next process.
    """

    def __init__(self, database: Path, workflows: Mapping[str, Workflow], *, agenda: Agenda) -> None:
        self._database = database
        self._workflows = workflows
        self._agenda = agenda
        self._registered: dict[str, Callable[[str], None]] = {}
        self._changed = threading.Condition()
        self._live: set[str] = set()
        self._seen: set[str] = set()
        self._failures: dict[str, tuple[int, float]] = {}
        self._awaited: dict[str, Appointment] = {}

    def start(self) -> None:
        """Begin; what the last process left undone goes on by itself within a second or two."""
        _silence()
        _make_database(self._database)
        DBOS(config=_config(self._database))
        for name, workflow in self._workflows.items():
            self._registered[name] = DBOS.workflow(name=name)(self._executing(name, workflow))
        DBOS.launch()

    def begin(self, name: str, record_id: str) -> None:
        """See to it that a record's workflow is under way; one that failed begins anew, after ever longer pauses."""
        with self._changed:
            _, not_before_s = self._failures.get(record_id, (0, 0.0))
            if record_id in self._live or time.monotonic() < not_before_s:
                return
        attempt = 1
        while (status := DBOS.get_workflow_status(_workflow_id(record_id, attempt))) and status.status in _ENDED:
            attempt += 1
        if status is None:
            with SetWorkflowID(_workflow_id(record_id, attempt)):
                DBOS.start_workflow(self._registered[name], record_id)

    def knows(self, record_id: str) -> bool:
        """Whether a record's workflow has ever begun."""
        return DBOS.get_workflow_status(_workflow_id(record_id, 1)) is not None

    def is_live(self, record_id: str) -> bool:
        """Whether a record's workflow is under way in this process."""
        with self._changed:
            return record_id in self._live

    def wait_until_begun(self, record_ids: Collection[str], *, timeout_s: float) -> bool:
        """Wait until the workflows of all these records are under way in this process, or were; False if in vain.

        Raises
        ------
        Stopping
            If the agenda is stopped meanwhile.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not self._seen.issuperset(record_ids):
                if time.monotonic() > deadline_s:
                    return False
                self._changed.wait(_NAP_S)
                self._agenda.pause(0.0)
        return True

    def stop(self) -> None:
        """End without waiting for workflows; the agenda must be stopped before."""
        DBOS.destroy(destroy_registry=True)

    def _executing(self, name: str, workflow: Workflow) -> Callable[[str], None]:
        def execute(record_id: str) -> None:
            with self._agenda.appointment(f"{name} {record_id}") as appointment, self._under_way(name, record_id):
                if awaited := self._awaited.pop(record_id, None):
                    awaited.close()
                workflow(Execution(id=record_id, appointment=appointment, step=_step))

        return execute

    @contextmanager
    def _under_way(self, name: str, record_id: str) -> Iterator[None]:
        with self._changed:
            self._live.add(record_id)
            self._seen.add(record_id)
            self._changed.notify_all()
        try:
            yield
        except Exception:  # DBOS notes it as the outcome
            self._failures[record_id] = failed = self._next_failure(record_id)
            log.exception("%s %s failed for the %d. time; it begins anew later", name, record_id, failed[0])
            if failed[0] <= _AWAITED_FAILURES:
                self._awaited[record_id] = self._agenda.appointment(f"{name} {record_id} again")
            raise
        finally:
            with self._changed:
                self._live.discard(record_id)

    def _next_failure(self, record_id: str) -> tuple[int, float]:
        """How often a record's workflow has failed, and before when it does not begin anew."""
        count = self._failures.get(record_id, (0, 0.0))[0] + 1
        return count, time.monotonic() + min(_FIRST_PAUSE_S * 2.0 ** (count - 1), _LONGEST_PAUSE_S)


def _workflow_id(record_id: str, attempt: int) -> str:
    return f"{record_id}.{attempt}"


def _step(name: str, function: Callable[[], str]) -> str:
    return DBOS.run_step({"name": name}, function)


def _config(database: Path) -> DBOSConfig:
    return {
        "name": "octavo",
        "system_database_url": f"sqlite:///{database}",
        "application_version": SHAPE,
        "executor_id": _EXECUTOR,
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
        "log_level": "ERROR",
        "scheduler_polling_interval_sec": 3600.0,
    }


def _silence() -> None:
    """Keep DBOS from inviting people to a hosted console; only its errors are told, in the log of the process."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.ERROR)
    logger.addHandler(logging.NullHandler())  # keeps it from adding one that prints
    logger.propagate = True


def _make_database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")  # stays with the file; a commit then costs one flush, not three
    finally:
        connection.close()
