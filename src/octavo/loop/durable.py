"""Workflows that survive the death of their process: each goes on in the next one, from the first step not yet done.

DBOS keeps which steps are done, in a database of its own. What a workflow is about stands in the metadata, in one
record by whose id the workflow is known; so a step that was taken but not noted may be taken again.

Several workers may share a database in PostgreSQL. Each workflow is then under way in the one that has claimed its
record; who takes one over cancels what the other has begun and begins anew, from the record.
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

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID, WorkflowStatus
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from octavo.errors import Unavailable
from octavo.loop.agenda import Agenda, Appointment
from octavo.loop.membership import Superseded, working_on
from octavo.stores.sql.postgres import PostgresAddress, plain_engine

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
    database : Path or PostgresAddress
        Made if absent. A file is one process's; what the last one left undone goes on in the next.
    workflows : mapping of name to Workflow
    agenda : Agenda
        What waits for it when it is stopped goes on in the next process.
    worker : str
        Tells this process from others that share the database.
    claim : callable
        Whether a record is this worker's to work on; takes it if nobody has it.
    """

    def __init__(
        self,
        database: Path | PostgresAddress,
        workflows: Mapping[str, Workflow],
        *,
        agenda: Agenda,
        worker: str = "worker",
        claim: Callable[[str], bool] = lambda record_id: True,
    ) -> None:
        self._database = database
        self._worker = worker if isinstance(database, PostgresAddress) else _EXECUTOR
        self._claim = claim
        self._workflows = workflows
        self._agenda = agenda
        self._registered: dict[str, Callable[[str], None]] = {}
        self._changed = threading.Condition()
        self._live: set[str] = set()
        self._seen: set[str] = set()
        self._failures: dict[str, tuple[int, float]] = {}
        self._awaited: dict[str, Appointment] = {}
        self._engine: Engine | None = None

    def start(self) -> None:
        """Begin; what the last process left undone in a file goes on by itself within a second or two.

        Raises
        ------
        Unavailable
            If the database cannot be reached.
        """
        _silence()
        DBOS(config=self._config())
        for name, workflow in self._workflows.items():
            self._registered[name] = DBOS.workflow(name=name)(self._executing(name, workflow))
        try:
            DBOS.launch()
        except DBAPIError as error:
            raise Unavailable(f"the workflows in {self._database} cannot be reached: {error.orig}") from error

    def begin(self, name: str, record_id: str) -> bool:
        """See to it that a record's workflow is under way; one that failed begins anew, after ever longer pauses.

        Returns
        -------
        bool
            Whether it is this worker's.
        """
        with self._changed:
            _, not_before_s = self._failures.get(record_id, (0, 0.0))
            if record_id in self._live or time.monotonic() < not_before_s:
                return True
        if not self._claim(record_id):
            return False
        attempt = 1
        while (status := DBOS.get_workflow_status(_workflow_id(record_id, attempt))) and self._is_over(status):
            attempt += 1
        if status is None:
            with SetWorkflowID(_workflow_id(record_id, attempt)):
                DBOS.start_workflow(self._registered[name], record_id)
        return True

    def _is_over(self, status: WorkflowStatus) -> bool:
        """Whether a workflow has ended, or is ended now, because whoever had it has it no more."""
        if status.status not in _ENDED and status.executor_id != self._worker:
            log.warning("%s was under way in worker %s; it begins anew here", status.workflow_id, status.executor_id)
            DBOS.cancel_workflow(status.workflow_id)
            return True
        return status.status in _ENDED

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
        if self._engine is not None:
            self._engine.dispose()

    def _config(self) -> DBOSConfig:
        config: DBOSConfig = {
            "name": "octavo",
            "application_version": SHAPE,
            "executor_id": self._worker,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "ERROR",
            "scheduler_polling_interval_sec": 3600.0,
        }
        if isinstance(self._database, PostgresAddress):
            address = self._database
            config["system_database_url"] = f"postgresql://{address.host}:{address.port}/{address.database}"
            config["system_database_engine"] = self._engine = plain_engine(self._database, purpose="octavo workflows")
            config["dbos_system_schema"] = f"{self._database.schema}_workflows"
            config["use_listen_notify"] = False
        else:
            _make_database(self._database)
            config["system_database_url"] = f"sqlite:///{self._database}"
        return config

    def _executing(self, name: str, workflow: Workflow) -> Callable[[str], None]:
        def execute(record_id: str) -> None:
            if not self._claim(record_id):
                raise Superseded(f"{name} {record_id} is another worker's")
            with (
                working_on(record_id),
                self._agenda.appointment(f"{name} {record_id}") as appointment,
                self._under_way(name, record_id),
            ):
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
