"""Predictions on their way from the predictor's logs to a topic, each once."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from octavo.clock import from_micros
from octavo.errors import IntegrityError, Unavailable
from octavo.monitoring import publication
from octavo.monitoring.publication import PredictionPublisher, unpublished
from octavo.serving.recorder import TOPIC
from octavo.serving.records import BlockHead, PredictionBlock
from octavo.stores.memory import MemoryEventStream, MemoryTopic
from octavo.stores.topics import Message

HEAD = msgspec.Raw(msgspec.msgpack.encode(BlockHead("eta", "delay", 1, "sha256:0", "live", {}, {})))


def block(first: int, n_rows: int = 1) -> bytes:
    ids = b"".join(number.to_bytes(16, "big") for number in range(first, first + n_rows))
    return msgspec.msgpack.encode(
        PredictionBlock(
            head=HEAD, at_us=first, ids=ids, rows=None, columns=None, inputs=b"", status=b"", ages_s=b"",
            outputs=bytes(8 * n_rows), latency_us=1, caller="", trace="",
        )
    )  # fmt: skip


def write(rows: pa.Table) -> list[tuple[str, bytes]]:
    return [(row["id"], row["id"].encode()) for row in rows.to_pylist()]


def numbers(topic: MemoryTopic) -> list[int]:
    return sorted(int(one.key.replace("-", ""), 16) for kept in topic.messages for one in kept)


class DyingTopic(MemoryTopic):
    """One that, when told to, keeps some of what it is sent and is then lost sight of."""

    keeps: int | None = None

    def send(self, messages: Sequence[Message]) -> None:
        if self.keeps is not None:
            super().send(messages[: self.keeps])
            raise Unavailable("lost")
        super().send(messages)


class SlowTopic(MemoryTopic):
    """One that acknowledges nothing until told to."""

    acknowledges = False

    def wait(self, timeout_s: float) -> dict[int, int] | None:
        return super().wait(timeout_s) if self.acknowledges else None


def publisher(topic: MemoryTopic, folder: Path, *logs: MemoryEventStream) -> PredictionPublisher:
    return PredictionPublisher(topic, records=lambda: dict(enumerate(logs)), folder=folder, write=write)


def publish_all(made: PredictionPublisher, *, max_bytes: int = 1_000_000) -> None:
    while made.publish(wait_s=1.0, max_bytes=max_bytes):
        pass


def test_the_records_of_all_logs_come_to_the_topic_once(tmp_path: Path) -> None:
    topic, logs = MemoryTopic(partitions=3), (MemoryEventStream(), MemoryEventStream())
    made = publisher(topic, tmp_path, *logs)
    logs[0].publish(TOPIC, [block(0, 3), block(3)])
    logs[1].publish(TOPIC, [block(4, 2)])
    publish_all(made)
    logs[0].publish(TOPIC, [block(6)])
    publish_all(made)
    assert numbers(topic) == list(range(7))


def test_another_publisher_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    topic, log = MemoryTopic(), MemoryEventStream()
    for number in range(3):
        log.publish(TOPIC, [block(number)])
        made = publisher(topic, tmp_path, log)
        publish_all(made)
        made.close()
    assert numbers(topic) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_was_kept_of_what_was_sent_nothing_is_lost_or_doubled(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    topic, logs = DyingTopic(partitions=3), [MemoryEventStream() for _ in range(3)]
    made, sent = publisher(topic, tmp_path, *logs), 0
    for _ in range(40):
        n_rows = chance.randint(1, 5)
        chance.choice(logs).publish(TOPIC, [block(sent, n_rows)])
        sent += n_rows
        topic.keeps = chance.choice((None, 0, 1, 3))
        try:
            made.publish(wait_s=1.0, max_bytes=chance.choice((1, 300, 100_000)))
        except Unavailable:
            if chance.random() < 0.5:
                made.close()
                made = publisher(topic, tmp_path, *logs)
    topic.keeps = None
    publish_all(made)
    assert Counter(numbers(topic)) == Counter(range(sent))


def test_what_is_not_acknowledged_yet_is_waited_for_and_not_sent_again(tmp_path: Path) -> None:
    topic, log = SlowTopic(), MemoryEventStream()
    log.publish(TOPIC, [block(0)])
    made = publisher(topic, tmp_path, log)
    for _ in range(3):
        with pytest.raises(Unavailable):
            made.publish(wait_s=0.0)
    topic.acknowledges = True
    assert (made.publish(wait_s=0.0), numbers(topic)) == (1, [0])


def test_a_mark_that_cannot_be_written_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic, log = MemoryTopic(), MemoryEventStream()
    made = publisher(topic, tmp_path, log)
    publish_all(made)
    log.publish(TOPIC, [block(0)])
    with monkeypatch.context() as full:
        full.setattr(publication, "write_atomically", refuse)
        with pytest.raises(OSError, match="full"):
            made.publish(wait_s=1.0)
    publish_all(made)
    assert numbers(topic) == [0]


def refuse(path: Path, data: bytes) -> None:
    raise OSError(f"full: {len(data)} bytes for {path.name}")


def test_another_topic_is_sent_everything(tmp_path: Path) -> None:
    log = MemoryEventStream()
    for topic in (MemoryTopic(), MemoryTopic()):
        log.publish(TOPIC, [block(log.end(TOPIC))])
        made = publisher(topic, tmp_path, log)
        publish_all(made)
        made.close()
    assert numbers(topic) == [0, 1]


def test_what_is_too_large_for_a_message_is_left_out_and_counted(tmp_path: Path) -> None:
    topic, log = MemoryTopic(payload_bytes=10), MemoryEventStream()
    log.publish(TOPIC, [block(0, 2)])
    publish_all(publisher(topic, tmp_path, log))
    assert (numbers(topic), unpublished(tmp_path, {0: log}).left_out) == ([], 2)


def test_a_second_one_at_the_same_time_is_refused(tmp_path: Path) -> None:
    topic, log = MemoryTopic(), MemoryEventStream()
    first = publisher(topic, tmp_path, log)
    first.publish(wait_s=1.0)
    with pytest.raises(Unavailable, match="publishes the predictions of this project"):
        publisher(topic, tmp_path, log).publish(wait_s=1.0)
    first.close()


def test_what_waits_is_told_with_its_age(tmp_path: Path) -> None:
    topic, log = MemoryTopic(), MemoryEventStream()
    logs: Mapping[int, MemoryEventStream] = {0: log, 1: MemoryEventStream()}
    assert (unpublished(tmp_path, logs).records, unpublished(tmp_path, logs).since) == (0, None)
    log.publish(TOPIC, [block(5, 2), block(7)])
    assert (unpublished(tmp_path, logs).records, unpublished(tmp_path, logs).since) == (2, from_micros(5))
    publisher(topic, tmp_path, log).publish(wait_s=1.0, max_bytes=1)
    assert (unpublished(tmp_path, logs).records, unpublished(tmp_path, logs).since) == (1, from_micros(7))


def test_a_mark_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "published.json").write_text("{")
    with pytest.raises(IntegrityError, match="restore it from a copy, or remove it to publish all of them anew"):
        publisher(MemoryTopic(), tmp_path, MemoryEventStream()).publish(wait_s=1.0)
