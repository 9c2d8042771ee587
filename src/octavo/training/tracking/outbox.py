"""What a run logs, on its way: gathered while the work goes on, sent in batches by a thread of its own.

Whoever logs never waits for the network, except where far more is logged than can be sent, and then for a bounded
time. Nothing is dropped: what cannot be delivered stays, and `close` hands it back. Batches may be sent twice, since
each comes to the same however often it arrives.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from octavo.errors import OctavoError, Unavailable
from octavo.training.tracking.names import MOST_PARAMS_AT_ONCE, MOST_POINTS

log = logging.getLogger(__name__)

MOST_WAITING = 200_000
"""Values of metrics that may wait before whoever logs more must wait too."""

MOST_WAITING_BYTES = 200_000_000
"""Of artifacts."""

BEAT_S = 30.0
"""How long nothing is sent at most: then a batch goes out that says nothing, as a sign of life."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A value of a metric."""

    name: str
    value: float
    step: int
    at: datetime


@dataclass(slots=True, kw_only=True)
class Batch:
    """What is sent at once."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Measured] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.params or self.tags or self.points)

    def parts(self) -> "list[Batch]":
        """Each parameter and tag by itself, and the points together."""
        parts = [Batch(params={name: value}) for name, value in self.params.items()]
        parts += [Batch(tags={name: value}) for name, value in self.tags.items()]
        return parts + ([Batch(points=self.points)] if self.points else [])


class Carrier(Protocol):
    """Takes what a run logs to where it is kept. Called by one thread at a time."""

    def log(self, batch: Batch) -> None:
        """Deliver a batch; an empty one says that the run's process lives.

        Raises
        ------
        Unavailable
            If that is not possible now; it is tried again.
        OctavoError
            If it is refused; the whole batch is.
        """

    def put(self, name: str, data: bytes) -> None:
        """Deliver an artifact; as `log`."""


class Outbox:
    """What waits to be sent.

    Parameters
    ----------
    carrier : Carrier
    every_s : float
        How long the first that waits may wait for others to go along.
    patience_s : float
        How long whoever logs waits at most, where too much waits already.
    """

    def __init__(self, carrier: Carrier, *, every_s: float = 1.0, patience_s: float = 30.0) -> None:
        self._carrier = carrier
        self._every_s, self._patience_s = every_s, patience_s
        self._waiting = Batch()
        self._artifacts: deque[tuple[str, bytes]] = deque()
        self._refusals: list[OctavoError] = []
        self._changed = threading.Condition()
        self._hurried = self._closed = self._busy = False
        self._under_way: tuple[Batch, tuple[str, bytes] | None] = (Batch(), None)
        self._logged_s = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="octavo run", daemon=True)
        self._thread.start()

    @property
    def refusals(self) -> tuple[OctavoError, ...]:
        """Why batches were refused."""
        return tuple(self._refusals)

    def add(self, batch: Batch) -> None:
        """Have a batch sent.

        Raises
        ------
        Unavailable
            If too much waits already and none of it could be sent in time; this was not taken.
        """
        with self._room(lambda: len(self._waiting.points) < MOST_WAITING):
            self._waiting.params |= batch.params
            self._waiting.tags |= batch.tags
            self._waiting.points += batch.points

    def add_artifact(self, name: str, data: bytes) -> None:
        """Have an artifact sent; as `add`."""
        with self._room(lambda: not self._artifacts or self._bytes() + len(data) <= MOST_WAITING_BYTES):
            self._artifacts.append((name, data))

    def flush(self, timeout_s: float) -> bool:
        """Wait until all was sent or refused; whether it was, in time."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            done = self._changed.wait_for(self._is_empty, timeout_s)
            self._hurried = False
            return done

    def close(self, timeout_s: float) -> tuple[Batch, list[tuple[str, bytes]]]:
        """Send all, and stop; what could not be sent in time."""
        self.flush(timeout_s)
        with self._changed:
            self._closed = True
            self._stopped.set()
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            if self._busy:  # the carrier does not come back; whether it has delivered is not known
                self._put_back(*self._under_way)
            return self._waiting, list(self._artifacts)

    @contextlib.contextmanager
    def _room(self, has_room: Callable[[], bool]) -> Iterator[None]:
        with self._changed:
            if self._closed:
                raise Unavailable("the run has ended; nothing more can be logged to it here")
            if not self._changed.wait_for(has_room, self._patience_s):
                raise Unavailable(
                    "the run cannot be reached, and too much that was logged waits already; this was not logged"
                )
            yield
            self._changed.notify_all()

    def _carry(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._holds_any(), max(self._beat_in_s(), 0.0))
                if self._closed:
                    return
                if self._holds_any():
                    self._changed.wait_for(self._is_due, self._every_s)
                batch, artifact = self._under_way = self._next()
                self._busy = True
            delivered = self._deliver(batch, artifact)
            with self._changed:
                self._busy = False
                if not delivered:
                    self._put_back(batch, artifact)
                self._changed.notify_all()
            if delivered:
                pause_s = _FIRST_PAUSE_S
                self._logged_s = time.monotonic() if artifact is None else self._logged_s
            else:
                self._stopped.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _deliver(self, batch: Batch, artifact: tuple[str, bytes] | None) -> bool:
        try:
            if artifact is not None:
                self._carrier.put(*artifact)
            else:
                self._log(batch)
        except Unavailable as error:
            log.warning("what a run logged waits: %s", error.message)
            return False
        except OctavoError as error:
            self._refuse(error)
        except Exception as error:  # the thread must live on, and the refusal must reach whoever ends the run
            log.exception("what a run logged could not be sent")
            self._refusals.append(OctavoError(f"{type(error).__name__}: {error}"))
        return True

    def _log(self, batch: Batch) -> None:
        """Deliver a batch; of one that is refused, all that is not to blame for it."""
        try:
            self._carrier.log(batch)
        except Unavailable:
            raise
        except OctavoError as error:
            parts = batch.parts()
            if len(parts) == 1:
                self._refuse(error)
            for part in parts if len(parts) > 1 else ():
                self._log(part)

    def _refuse(self, error: OctavoError) -> None:
        log.error("what a run logged was refused: %s", error.message)
        self._refusals.append(error)

    def _next(self) -> tuple[Batch, tuple[str, bytes] | None]:
        """A batch as large as may be sent, empty if it is time for a sign of life, or else an artifact; taken out."""
        waiting = self._waiting
        if not waiting and self._artifacts and self._beat_in_s() > 0:
            return Batch(), self._artifacts.popleft()
        params = dict(list(waiting.params.items())[:MOST_PARAMS_AT_ONCE])
        tags = dict(list(waiting.tags.items())[:MOST_PARAMS_AT_ONCE])
        batch = Batch(params=params, tags=tags, points=waiting.points[:MOST_POINTS])
        for name in params:
            del waiting.params[name]
        for name in tags:
            del waiting.tags[name]
        del waiting.points[:MOST_POINTS]
        return batch, None

    def _put_back(self, batch: Batch, artifact: tuple[str, bytes] | None) -> None:
        waiting = self._waiting
        waiting.params = batch.params | waiting.params
        waiting.tags = batch.tags | waiting.tags
        waiting.points[:0] = batch.points
        if artifact is not None:
            self._artifacts.appendleft(artifact)

    def _beat_in_s(self) -> float:
        return self._logged_s + BEAT_S - time.monotonic()

    def _is_due(self) -> bool:
        full = len(self._waiting.points) >= MOST_POINTS or len(self._waiting.params) >= MOST_PARAMS_AT_ONCE
        return self._closed or self._hurried or full or bool(self._artifacts)

    def _holds_any(self) -> bool:
        return bool(self._waiting) or bool(self._artifacts)

    def _is_empty(self) -> bool:
        return not self._busy and not self._holds_any()

    def _bytes(self) -> int:
        return sum(len(data) for _, data in self._artifacts)
