"""From the predictor's logs to a topic of the user's own, each prediction once.

How far each log has been sent stands in a file beside the logs, with the ends of the topic's partitions at a time when
nothing beyond it had been sent. Whoever begins reads the topic from there on, and sends what it does not find: so a
worker may die at any point. A log is never cut, so that a topic that is away misses nothing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pyarrow as pa

from octavo.clock import from_micros
from octavo.errors import IntegrityError, Unavailable
from octavo.monitoring.prediction_log import placed_rows_of, rows_of
from octavo.serving.recorder import TOPIC
from octavo.serving.status import write_atomically
from octavo.stores.locks import FileLock
from octavo.stores.ports import EventStream
from octavo.stores.topics import Message, MessageTopic

log = logging.getLogger(__name__)

_MARK, _LOCK = "published.json", "published.lock"
_READ_BYTES = 1_000_000

Write = Callable[[pa.Table], list[tuple[str, bytes]]]
"""The id and the message of each row; see `MessageWriter.write`."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far the logs have been sent.

    Attributes
    ----------
    topic : str
        Its identity.
    sender : str
        What the places of the messages begin with.
    sent : dict of worker's number to offset
        In its log, after what is in the topic for certain.
    ends : dict of partition to offset
        No message from beyond `sent` stands before these.
    left_out : int
        Predictions that were larger than a message may be.
    """

    topic: str
    sender: str
    sent: dict[int, int]
    ends: dict[int, int]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Records of one log that are under way: their messages, and where they end."""

    worker: int
    end: int
    payloads: int
    messages: list[Message]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpublished:
    """What waits to be published.

    Attributes
    ----------
    records : int
        One per request and arm, whatever their rows.
    since : datetime or None
        When the oldest of these predictions was made; None if none waits.
    left_out : int
        Predictions that were too large for a message so far.
    """

    records: int
    since: datetime | None
    left_out: int


class PredictionPublisher:
    """Sends what the predictor's workers have recorded to a topic. One process at a time does.

    Parameters
    ----------
    topic : MessageTopic
    records : callable
        The logs of the predictor's workers, by their numbers. Nobody else reads by these objects.
    folder : Path
        Where it is kept how far they have been sent.
    write : callable
    """

    def __init__(
        self,
        topic: MessageTopic,
        *,
        records: Callable[[], Mapping[int, EventStream]],
        folder: Path,
        write: Write,
    ) -> None:
        self._topic, self._records, self._write = topic, records, write
        self._file, self._lock = folder / _MARK, FileLock(folder / _LOCK)
        self._is_locked = False
        self._mark: Mark | None = None  # until it was looked what is in the topic
        self._there: set[str] = set()
        self._batch: _Batch | None = None

    def publish(self, *, wait_s: float, max_bytes: int = _READ_BYTES) -> int:
        """Send the next records of one of the logs.

        Returns
        -------
        int
            How many records came to be in the topic; 0 if none waits.

        Raises
        ------
        Unavailable
            If the topic has not taken them within `wait_s`, or another process publishes. Call it again.
        IntegrityError
            If a log holds what is no record.
        """
        try:
            mark = self._mark = self._mark or self._look()
            if self._batch is None:
                self._batch = self._next(mark, max_bytes)
                if self._batch is None:
                    return 0
                self._topic.send(self._batch.messages)
            ends = self._topic.wait(wait_s)
        except Unavailable:
            self._mark = self._batch = None
            raise
        if ends is None:
            raise Unavailable(self._topic.trouble())
        batch, self._mark, self._batch = self._batch, None, None
        self._mark = self._keep(mark, batch, ends)  # where that fails, it is looked what is there
        return batch.payloads

    def close(self) -> None:
        """Release the topic, and the right to publish."""
        self._topic.close()
        self._lock.release()

    def _look(self) -> Mark:
        """How far the logs have been sent, and what of the rest is in the topic all the same."""
        if not self._is_locked and not self._lock.acquire():
            raise Unavailable(
                f"process {self._lock.holder} publishes the predictions of this project; stop one of them"
            )
        self._is_locked = True
        mark, identity = read_mark(self._file.parent), self._topic.identity()
        if mark is None or mark.topic != identity:
            mark = Mark(topic=identity, sender=uuid4().hex, sent={}, ends=dict(self._topic.ends()))
            self._save(mark)
        self._there = self._topic.places(mark.ends, sender=mark.sender)
        return mark

    def _next(self, mark: Mark, max_bytes: int) -> _Batch | None:
        for worker, records in self._records().items():
            start = mark.sent.get(worker, 0)
            if payloads := records.read(TOPIC, start=start, max_bytes=max_bytes):
                messages = self._messages(f"{mark.sender}/{worker}", payloads)
                sent = [one for one in messages if len(one.value) <= self._topic.payload_bytes]
                return _Batch(
                    worker=worker,
                    end=payloads[-1][0] + 1,
                    payloads=len(payloads),
                    messages=[one for one in sent if one.place not in self._there],
                    left_out=len(messages) - len(sent),
                )
        return None

    def _messages(self, sender: str, payloads: Sequence[tuple[int, bytes]]) -> list[Message]:
        rows, places = placed_rows_of(payloads)
        return [
            Message(key=key, place=f"{sender}/{offset}/{row}", value=value)
            for (offset, row), (key, value) in zip(places, self._write(rows), strict=True)
        ]

    def _keep(self, mark: Mark, batch: _Batch, ends: Mapping[int, int]) -> Mark:
        """Note that a batch is there. What was found there may be of another log, and has to be found until it is."""
        if batch.left_out:
            log.error("predictions are too large to be published", extra={"predictions": batch.left_out})
        done = f"{mark.sender}/{batch.worker}/"
        self._there = {
            place for place in self._there if not (place.startswith(done) and int(place.split("/")[2]) < batch.end)
        }
        kept = msgspec.structs.replace(
            mark,
            sent=mark.sent | {batch.worker: batch.end},
            ends=mark.ends if self._there else mark.ends | dict(ends),
            left_out=mark.left_out + batch.left_out,
        )
        self._save(kept)
        return kept

    def _save(self, mark: Mark) -> None:
        write_atomically(self._file, msgspec.json.encode(mark))


def read_mark(folder: Path) -> Mark | None:
    """How far the logs have been sent; None if they never were.

    Raises
    ------
    IntegrityError
        If what is kept of it cannot be read.
    """
    file = folder / _MARK
    try:
        return msgspec.json.decode(file.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"{file}, which says how far predictions have been published, cannot be read: {error}; restore it from a "
            "copy, or remove it to publish all of them anew",
            file=file.name,
        ) from error


def unpublished(folder: Path, records: Mapping[int, EventStream]) -> Unpublished:
    """What waits to be published, as far as the logs and the mark beside them say it."""
    mark = read_mark(folder)
    sent = mark.sent if mark else {}
    waiting = 0
    first_us: list[int] = []
    for worker, stream in records.items():
        start = sent.get(worker, 0)
        waiting += max(stream.end(TOPIC) - start, 0)
        if oldest := stream.read(TOPIC, start=start, max_bytes=1):
            first_us += rows_of(oldest[:1])["at"].cast(pa.int64()).slice(0, 1).to_pylist()
    since = from_micros(min(first_us)) if first_us else None
    return Unpublished(records=waiting, since=since, left_out=mark.left_out if mark else 0)
