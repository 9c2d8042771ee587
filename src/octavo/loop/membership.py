"""The workers of a project: who is one, who has died, and who has what.

A worker takes a seat among the members, and each piece of work by a claim that names its seat and the term in which it
has it. Who has a claim is decided in the metadata, and each of a worker's transactions about a piece of work sees first
that the claim is still its own (`ClaimedMetadata`). So a worker that was taken for dead and is not, because it only
stood still, changes nothing any more, whatever anybody's clocks say.

A member is taken for dead when it has not moved for a while by the monotonic clock of whoever watches it; one that ran
on this machine, in the project's folder, as soon as its process is gone. Nobody moves who is alone.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from octavo.loop.agenda import Stopping
from octavo.stores.locks import FileLock
from octavo.stores.ports import Metadata, Transaction

log = logging.getLogger(__name__)

DEAD_AFTER_S = 10.0
_BEATS = 5
"""How often a member moves in the time after which it is taken for dead."""

_GONE = "its process is gone"

CLAIM_VARIABLE = "OCTAVO_CLAIM"
"""Tells a process that works for a worker by which claim it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A seat among the workers, and who has it.

    Attributes
    ----------
    seat : int
        From 1 on.
    term : int
        Rises each time somebody takes the seat.
    place : str
        The machine and folder in which its process runs.
    beat : int
        Moves as long as it lives and is not alone.
    ended : str
        How it ended; empty as long as it has not.
    """

    kind: ClassVar[str] = "worker"

    seat: int
    term: int
    place: str
    pid: int
    beat: int = 0
    ended: str = ""

    @property
    def key(self) -> str:
        return str(self.seat)

    @property
    def name(self) -> str:
        """Such as ``2.17``: the seat and the term; no two workers ever have the same."""
        return f"{self.seat}.{self.term}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which worker has a piece of work, or had it last.

    Attributes
    ----------
    subject : str
        What it is: the id of the record that the work is about, or a duty's name.
    worker : str
        See `Member.name`.
    """

    kind: ClassVar[str] = "claim"

    subject: str
    worker: str

    @property
    def key(self) -> str:
        return self.subject


class Superseded(Stopping):
    """This worker was taken for dead, or its work was given to another: what it is about to do is not its own."""


class Membership:
    """This process as one of a project's workers, from `join` to `leave`.

    Parameters
    ----------
    metadata : Metadata
    home : Path
        The project's platform folder.
    dead_after_s : float
        How long another may stand still before it is taken for dead.
    """

    def __init__(self, metadata: Metadata, *, home: Path, dead_after_s: float = DEAD_AFTER_S) -> None:
        self._metadata = metadata
        self._folder = home / "run" / "workers"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._place = _place_of(self._folder)
        self._dead_after_s = dead_after_s
        self._me: Member | None = None
        self._lock: FileLock | None = None
        self._moved_s = 0.0
        self._seen: dict[str, tuple[int, float]] = {}

    @property
    def name(self) -> str:
        """This worker's; see `Member.name`."""
        assert self._me is not None, "it has not joined"
        return self._me.name

    def join(self) -> None:
        """Take a free seat."""
        with self._metadata.transaction() as tx:
            for member in tx.find(Member, ended=""):
                if self._is_gone(member):
                    self._end(tx, member, how=_GONE)
            seats = {member.seat: member for member in tx.find(Member)}
            seat = next(n for n in range(1, len(seats) + 2) if n not in seats or seats[n].ended)
            term = seats[seat].term + 1 if seat in seats else 1
            member = Member(seat=seat, term=term, place=self._place, pid=os.getpid())
            # Within the transaction, so that nobody sees a member of this place without its lock.
            lock = self._lock_of(member)
            if not lock.acquire():
                raise RuntimeError(f"the lock of the worker {member.name} is taken")
            self._lock = lock
            tx.put(member)
        self._me = member
        log.info("joined as worker %s", member.name)

    def leave(self) -> None:
        """Give the seat and all claims back; they are free from now on."""
        if self._me is None:
            return
        with self._metadata.transaction() as tx:
            if _is_in_force(tx, self._me.name):
                self._end(tx, self._me, how="it ended in good order")
        self._let_go()

    def abandon(self) -> None:
        """Leave without a word, as after a death: others find out."""
        self._let_go()

    def tend(self) -> None:
        """Show that this worker lives, and see who else does. To be called several times a second.

        Raises
        ------
        Superseded
            If this worker was taken for dead.
        """
        me = self._me
        assert me is not None, "it has not joined"
        now_s = time.monotonic()
        with self._metadata.transaction() as tx:
            members = {member.name: member for member in tx.find(Member, ended="")}
            if me.name not in members:
                raise Superseded(f"worker {me.name} was taken for dead; it begins anew")
            others = [member for name, member in members.items() if name != me.name]
            for other in others:
                if how := self._death(other, now_s):
                    log.warning("worker %s is dead: %s; its work is taken over", other.name, how)
                    self._end(tx, other, how=how)
            if others and now_s - self._moved_s > self._dead_after_s / _BEATS:
                tx.put(replace(members[me.name], beat=members[me.name].beat + 1))
                self._moved_s = now_s
        self._seen = {name: seen for name, seen in self._seen.items() if name in members}

    def take(self, subject: str) -> bool:
        """Take a piece of work, unless another member who lives has it; whether it is this worker's now."""
        with self._metadata.transaction() as tx:
            claim = tx.get(Claim, subject)
            if claim is not None and claim.worker == self.name:
                return True
            if (claim is not None and _is_in_force(tx, claim.worker)) or not _is_in_force(tx, self.name):
                return False
            tx.put(Claim(subject=subject, worker=self.name))
        return True

    def claimed(self, metadata: Metadata, *, subject: str | None = None) -> "ClaimedMetadata":
        """The metadata as somebody sees them who works here: for one piece of work, or that of each thread."""
        return ClaimedMetadata(metadata, worker=lambda: self.name, subject=subject)

    def _death(self, other: Member, now_s: float) -> str:
        """Why another is dead; empty if it may live."""
        if self._is_gone(other):
            return _GONE
        beat, since_s = self._seen.get(other.name, (-1, 0.0))
        if beat != other.beat:
            self._seen[other.name] = (other.beat, now_s)
        elif now_s - since_s > self._dead_after_s:
            return f"it has stood still for {now_s - since_s:.0f} s"
        return ""

    def _is_gone(self, other: Member) -> bool:
        """Whether another ran in this folder of this machine, and its process has ended."""
        return other.place == self._place and not self._lock_of(other).is_taken()

    def _end(self, tx: Transaction, member: Member, *, how: str) -> None:
        tx.put(replace(member, ended=how))
        if member.place == self._place and member is not self._me:
            self._lock_of(member).path.unlink(missing_ok=True)

    def _lock_of(self, member: Member) -> FileLock:
        return FileLock(self._folder / f"{member.name}.lock")

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release(remove=True)
        self._me = self._lock = None


class ClaimedMetadata:
    """Metadata in which a worker changes nothing about a piece of work that is another's by now.

    Parameters
    ----------
    worker : callable
        Tells the name of the worker.
    subject : str or None
        The piece of work; None for that which the thread is about (see `working_on`), if it is about any.
    """

    def __init__(self, metadata: Metadata, *, worker: Callable[[], str], subject: str | None = None) -> None:
        self.worker = worker
        self._metadata = metadata
        self._subject = subject

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """See `Metadata.transaction`.

        Raises
        ------
        Superseded
            If the piece of work is no longer this worker's.
        """
        with self._metadata.transaction() as tx:
            subject = self._subject or _working_on.get()
            if subject is not None:
                claim = tx.get(Claim, subject)
                if claim is None or claim.worker != self.worker():
                    raise Superseded(f"{subject} is not worker {self.worker()}'s any more")
            yield tx

    def close(self) -> None:
        """See `Metadata.close`."""
        self._metadata.close()


_working_on: ContextVar[str | None] = ContextVar("working_on", default=None)


@contextmanager
def working_on(subject: str) -> Iterator[None]:
    """Be about a piece of work, in this thread."""
    token = _working_on.set(subject)
    try:
        yield
    finally:
        _working_on.reset(token)


def claimed_from_outside(metadata: Metadata) -> Metadata:
    """The metadata as a process sees them that works for a worker; as they are, if this one works for none."""
    worker, _, subject = os.environ.get(CLAIM_VARIABLE, "").partition(" ")
    return ClaimedMetadata(metadata, worker=lambda: worker, subject=subject) if subject else metadata


def claim_variable(metadata: Metadata) -> dict[str, str]:
    """What tells a process by which claim it works for this thread; empty where there is none."""
    subject = _working_on.get()
    if subject is None or not isinstance(metadata, ClaimedMetadata):
        return {}
    return {CLAIM_VARIABLE: f"{metadata.worker()} {subject}"}


def is_claimed_elsewhere(tx: Transaction, subject: str, *, worker: str) -> bool:
    """Whether another worker, who lives as far as anybody knows, has a piece of work."""
    claim = tx.get(Claim, subject)
    return claim is not None and claim.worker != worker and _is_in_force(tx, claim.worker)


def _is_in_force(tx: Transaction, worker: str) -> bool:
    seat, _, _ = worker.partition(".")
    member = tx.get(Member, seat)
    return member is not None and member.name == worker and not member.ended


def _place_of(folder: Path) -> str:
    """What tells a folder of this machine, since it was started, from all others, those of containers included."""
    found, machine = folder.stat(), os.uname().nodename
    with suppress(OSError):
        machine += f":{Path('/proc/sys/kernel/random/boot_id').read_text(encoding='ascii').strip()}"
    return f"{machine}:{found.st_dev}:{found.st_ino}"
