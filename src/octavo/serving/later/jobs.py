"""What is kept of asynchronous predictions: one SQLite file that all workers of a predictor share.

A job is *waiting*, then *answering* at one worker, then *recording* (its answer is kept, its records are on their way
to that worker's log), then *answered* until it expires. Each step is one transaction that is on disk when it ends.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from octavo.errors import Conflict, Unavailable
from octavo.serving.problems import Answer

WAITING, ANSWERING, RECORDING, ANSWERED = "waiting", "answering", "recording", "answered"
_BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    deployment TEXT NOT NULL,
    caller TEXT NOT NULL,
    state TEXT NOT NULL,
    worker INTEGER,
    size INTEGER NOT NULL,
    expires_us INTEGER,
    key TEXT,
    digest BLOB NOT NULL,
    callback TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_us INTEGER,
    log_end INTEGER,
    question BLOB NOT NULL,
    head BLOB,
    body BLOB,
    records BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_key ON jobs (caller, deployment, key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, id, size);
CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_to_call ON jobs (next_us) WHERE next_us IS NOT NULL;
"""

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent beside the body.

    Attributes
    ----------
    headers : dict of bytes to bytes
        Those that count when it is answered.
    accepted_us : int
        Microseconds since 1970.
    """

    query: bytes
    headers: dict[bytes, bytes]
    accepted_us: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something to answer."""

    id: str
    deployment: str
    caller: str
    question: Question
    body: bytes


class Unrecorded(msgspec.Struct, frozen=True, kw_only=True):
    """Records of an answer that may not be in the log yet.

    Attributes
    ----------
    log_end : int
        Where the log ended before any of them was appended.
    """

    id: str
    log_end: int
    records: list[bytes]


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to tell of an answer."""

    id: str
    deployment: str
    url: str
    tries: int
    expires_us: int
    answer: Answer


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job.

    Attributes
    ----------
    answer : Answer or None
        None while it is not ready.
    """

    id: str
    caller: str
    state: str
    answer: Answer | None = None


class Full(Exception):
    """There is no room for another job."""


class Jobs:
    """The jobs of a predictor. Its methods wait for the disk, and are for one thread at a time.

    Parameters
    ----------
    path : Path
        Made if absent, and opened when it is first needed: a predictor whose disk is full or broken answers all else.
    max_waiting : int
        Jobs that are not answered yet.
    max_bytes : int
        Of bodies that wait and answers that are kept, together.
    """

    def __init__(self, path: Path, *, max_waiting: int, max_bytes: int) -> None:
        self._path = path
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._opened: sqlite3.Connection | None = None

    def accept(self, job: Job, *, key: str | None, digest: bytes, callback: str) -> str:
        """Keep a job, and return its id; that of the first if its caller has sent the same key before.

        Raises
        ------
        Conflict
            If the key was sent with something else.
        Full
        Unavailable
            If the disk refuses it: it is not accepted then.
        """
        return self._write(lambda: self._accept(job, key=key, digest=digest, callback=callback))

    def claim(self, worker: int) -> Job | None:
        """The job that has waited longest, for this worker to answer; None if none waits."""
        rows = self._write(
            lambda: self._all(
                "UPDATE jobs SET state = ?, worker = ? "
                "WHERE id = (SELECT id FROM jobs WHERE state = ? ORDER BY id LIMIT 1) "
                "RETURNING id, deployment, caller, question, body",
                (ANSWERING, worker, WAITING),
            )
        )
        for job, deployment, caller, question, body in rows:
            sent = msgspec.msgpack.decode(question, type=Question)
            return Job(id=job, deployment=deployment, caller=caller, question=sent, body=body)
        return None

    def answered(self, id: str, answer: Answer, *, records: list[bytes], log_end: int) -> bool:
        """Keep the answer to a job that is being answered, with its records; False if it was cancelled meanwhile."""
        head = msgspec.msgpack.encode((answer.status, answer.content_type, answer.headers))
        rows = self._write(
            lambda: self._all(
                "UPDATE jobs SET state = ?, head = ?, body = ?, size = ?, records = ?, log_end = ? "
                "WHERE id = ? AND state = ? RETURNING id",
                (
                    *(RECORDING, head, answer.body, len(answer.body), msgspec.msgpack.encode(records), log_end),
                    *(id, ANSWERING),
                ),
            )
        )
        return bool(rows)

    def recorded(self, id: str, *, now_us: int, expires_us: int) -> None:
        """Say that the records of an answer are in the log; now it can be fetched, and its caller told."""
        self._write(
            lambda: self._all(
                "UPDATE jobs SET state = ?, records = NULL, expires_us = ?, "
                "next_us = CASE callback WHEN '' THEN NULL ELSE ? END WHERE id = ? AND state = ?",
                (ANSWERED, expires_us, now_us, id, RECORDING),
            )
        )

    def unrecorded(self, worker: int) -> list[Unrecorded]:
        """The answers of a worker whose records may not be in its log."""
        rows = self._all("SELECT id, log_end, records FROM jobs WHERE state = ? AND worker = ?", (RECORDING, worker))
        return [
            Unrecorded(id=job, log_end=log_end, records=msgspec.msgpack.decode(records, type=list[bytes]))
            for job, log_end, records in rows
        ]

    def give_up(self, worker: int) -> None:
        """Have the jobs wait again that a worker was at when it ended."""
        self._write(
            lambda: self._all(
                "UPDATE jobs SET state = ?, worker = NULL WHERE state = ? AND worker = ?", (WAITING, ANSWERING, worker)
            )
        )

    def workers(self) -> list[int]:
        """The workers that have something under way."""
        rows = self._all("SELECT DISTINCT worker FROM jobs WHERE state IN (?, ?)", (ANSWERING, RECORDING))
        return sorted(worker for (worker,) in rows)

    def find(self, deployment: str, id: str, *, now_us: int) -> Found | None:
        """What is known of a job; None if there is none, or no more."""
        rows = self._all(
            "SELECT caller, state, head, CASE state WHEN ? THEN body END FROM jobs "
            "WHERE id = ? AND deployment = ? AND (expires_us IS NULL OR expires_us > ?)",
            (ANSWERED, id, deployment, now_us),
        )
        for caller, state, head, body in rows:
            answer = None if state != ANSWERED else _answer(head, body)
            return Found(id=id, caller=caller, state=state, answer=answer)
        return None

    def cancel(self, id: str) -> bool:
        """Forget a job, answered or not; False if its records are on their way, so that it is too late for a moment."""
        rows = self._write(
            lambda: self._all("DELETE FROM jobs WHERE id = ? AND state <> ? RETURNING id", (id, RECORDING))
        )
        return bool(rows)

    def is_wanted(self, id: str) -> bool:
        """Whether a job was not cancelled."""
        return bool(self._all("SELECT 1 FROM jobs WHERE id = ?", (id,)))

    def due(self, *, now_us: int, next_us: int, most: int) -> list[Callback]:
        """Those who are to be told now; nobody else is given them before `next_us`."""
        rows = self._write(
            lambda: self._all(
                "UPDATE jobs SET tries = tries + 1, next_us = ? WHERE id IN (SELECT id FROM jobs "
                "WHERE next_us <= ? AND expires_us > ? ORDER BY next_us LIMIT ?) "
                "RETURNING id, deployment, callback, tries, expires_us, head, body",
                (next_us, now_us, now_us, most),
            )
        )
        return [
            Callback(id=job, deployment=name, url=url, tries=tries, expires_us=expires_us, answer=_answer(head, body))
            for job, name, url, tries, expires_us, head, body in rows
        ]

    def called(self, id: str, *, again_us: int | None) -> None:
        """Say when to tell somebody again; None for never, because it is told or given up."""
        self._write(lambda: self._all("UPDATE jobs SET next_us = ? WHERE id = ?", (again_us, id)))

    def expire(self, *, now_us: int) -> None:
        """Forget the answers whose time is over, and give their space back."""
        self._write(lambda: self._all("DELETE FROM jobs WHERE expires_us <= ?", (now_us,)))
        self._all("PRAGMA incremental_vacuum(1000)", ())

    def count_waiting(self) -> int:
        """How many are not answered yet."""
        [(count,)] = self._all("SELECT COUNT(*) FROM jobs WHERE state IN (?, ?)", (WAITING, ANSWERING))
        return int(count)

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _sql(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            opened = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                opened.execute("PRAGMA auto_vacuum = INCREMENTAL")
                opened.execute("PRAGMA journal_mode = WAL")
                opened.execute("PRAGMA synchronous = FULL")
                opened.executescript(_SCHEMA)
            except BaseException:
                opened.close()
                raise
            self._opened = opened
        return self._opened

    def _accept(self, job: Job, *, key: str | None, digest: bytes, callback: str) -> str:
        known = self._all(
            "SELECT id, digest FROM jobs WHERE caller = ? AND deployment = ? AND key = ?",
            (job.caller, job.deployment, key),
        )
        for job_before, before in known:
            if before != digest:
                raise Conflict(
                    f"the Idempotency-Key {key!r} was sent before, with another request; send each request with a key "
                    "of its own"
                )
            return str(job_before)
        [(held,)] = self._all("SELECT COALESCE(SUM(size), 0) FROM jobs", ())
        if self.count_waiting() >= self._max_waiting or held + len(job.body) > self._max_bytes:
            raise Full
        question = msgspec.msgpack.encode(job.question)
        self._all(
            "INSERT INTO jobs (id, deployment, caller, state, size, key, digest, callback, question, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(job.id, job.deployment, job.caller, WAITING, len(job.body)),
                *(key, digest, callback, question, job.body),
            ),
        )
        return job.id

    def _write(self, step: Callable[[], T]) -> T:
        """One transaction, which is on disk when it returns."""
        with _translated():
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                done = step()
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise
        return done

    def _all(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with _translated():
            return self._sql.execute(statement, values).fetchall()


def _answer(head: bytes, body: bytes) -> Answer:
    status, content_type, headers = msgspec.msgpack.decode(
        head, type=tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]
    )
    return Answer(status=status, body=body, content_type=content_type, headers=headers)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"the predictor's disk does not take or give asynchronous predictions: {error}") from error
