"""What every event stream promises."""

import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from octavo.errors import IntegrityError, InvalidRequest, LimitExceeded
from octavo.stores.kafka import KafkaStream
from octavo.stores.log import LocalLog
from octavo.stores.memory import MemoryEventStream
from octavo.stores.ports import EventStream
from tests.brokers import Brokers


@cache
def shared_brokers() -> Brokers:
    """Brokers for all tests of this module; each keeps to a prefix of its own."""
    return Brokers()


MAKERS: dict[str, Callable[[Path], EventStream]] = {
    "memory": lambda _: MemoryEventStream(),
    "log": lambda path: LocalLog(path / "log", sync=True),
    "unsynced log": lambda path: LocalLog(path / "log", sync=False),
    "exclusive log": lambda path: LocalLog(path / "log", sync=False, exclusive=True),
    "memory of three partitions": lambda _: MemoryEventStream(partitions=3, payload_bytes=1_000_000),
    "log of many segments": lambda path: LocalLog(path / "log", sync=False, segment_bytes=40),
    "kafka": lambda path: KafkaStream(shared_brokers().address(f"{path.parent.name}-{path.name}".replace("[", "-"))),
}
LOCAL = sorted(MAKERS.keys() - {"kafka"})


@pytest.fixture(params=MAKERS)
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStream]:
    store = MAKERS[request.param](tmp_path)
    yield store
    store.close()


def test_payloads_come_back_in_order_with_their_offsets(stream: EventStream) -> None:
    stream.publish("events.trips", [b"a", b"bb"])
    stream.publish("events.trips", [b"ccc"])
    assert stream.read("events.trips", start=0) == [(0, b"a"), (1, b"bb"), (2, b"ccc")]


def test_publishing_tells_the_offset_after_the_last(stream: EventStream) -> None:
    assert stream.publish("events.trips", [b"a", b"b"]) == 2
    assert stream.publish("events.trips", [b"c"]) == 3
    assert stream.end("events.trips") == 3


def test_reading_may_start_anywhere_and_anew(stream: EventStream) -> None:
    for first in range(0, 30, 3):
        stream.publish("outcomes", [b"%d" % (first + i) for i in range(3)])
    for start in (7, 0, 29, 15, 16, 30, 3):
        assert [offset for offset, _ in stream.read("outcomes", start=start)] == list(range(start, 30))


def test_a_read_at_the_end_is_empty_until_more_is_published(stream: EventStream) -> None:
    stream.publish("outcomes", [b"a"])
    assert stream.read("outcomes", start=1) == []
    stream.publish("outcomes", [b"b"])
    assert stream.read("outcomes", start=1) == [(1, b"b")]


def test_a_topic_never_published_to_is_empty(stream: EventStream) -> None:
    assert (stream.read("outcomes", start=0), stream.end("outcomes"), stream.topics()) == ([], 0, [])


def test_publishing_nothing_makes_no_topic(stream: EventStream) -> None:
    assert stream.publish("outcomes", []) == 0
    assert stream.topics() == []


def test_topics_are_apart_and_listed(stream: EventStream) -> None:
    stream.publish("outcomes", [b"o"])
    stream.publish("events.trips", [b"e"])
    assert stream.topics() == ["events.trips", "outcomes"]
    assert stream.read("outcomes", start=0) == [(0, b"o")]


def test_an_empty_payload_is_a_payload(stream: EventStream) -> None:
    stream.publish("outcomes", [b"", b"x", b""])
    assert stream.read("outcomes", start=0) == [(0, b""), (1, b"x"), (2, b"")]


def test_a_read_stops_at_its_limit_and_goes_on_from_there(stream: EventStream) -> None:
    stream.publish("outcomes", [b"x" * 10] * 5)
    assert [offset for offset, _ in stream.read("outcomes", start=0, max_bytes=25)] == [0, 1]
    assert [offset for offset, _ in stream.read("outcomes", start=2, max_bytes=25)] == [2, 3]


def test_a_read_yields_at_least_one_payload_however_large(stream: EventStream) -> None:
    stream.publish("outcomes", [b"x" * 1_000_000, b"y"])
    assert stream.read("outcomes", start=0, max_bytes=1) == [(0, b"x" * 1_000_000)]


@pytest.mark.parametrize("start", [-1, 2])
def test_an_offset_that_the_topic_does_not_have_is_an_error(stream: EventStream, start: int) -> None:
    stream.publish("outcomes", [b"a"])
    with pytest.raises(IntegrityError, match="offsets 0 to 1"):
        stream.read("outcomes", start=start)


@pytest.mark.parametrize("topic", ["", "..", "a/b", "A", "a..b", ".a", "x" * 300])
def test_names_that_lead_elsewhere_are_refused(stream: EventStream, topic: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot name a topic"):
        stream.publish(topic, [b"x"])
    with pytest.raises(InvalidRequest, match="cannot name a topic"):
        stream.read(topic, start=0)


def test_each_partition_is_a_log_of_its_own_of_which_the_first_has_the_name_of_the_topic(stream: EventStream) -> None:
    stream.publish("events.trips", [b"x"])
    logs = stream.partitions("events.trips")
    assert logs[0] == "events.trips"
    for number, log in enumerate(logs[1:], 1):
        stream.publish(log, [b"%d" % number] * number)
    assert [stream.end(log) for log in logs] == [1, *range(1, len(logs))]
    assert [stream.read(log, start=0)[0] for log in logs[1:]] == [(0, b"%d" % n) for n in range(1, len(logs))]


def test_a_topic_never_published_to_has_a_partition(stream: EventStream) -> None:
    assert stream.partitions("events.none")[0] == "events.none"


@pytest.mark.parametrize("stream", ["memory of three partitions", "kafka"], indirect=True)
def test_a_payload_as_large_as_may_be_is_taken_and_a_larger_one_refused(stream: EventStream) -> None:
    stream.publish("outcomes", [b"x" * stream.payload_bytes])
    with pytest.raises(LimitExceeded, match="too large for the stream"):
        stream.publish("outcomes", [b"y", b"x" * (stream.payload_bytes + 1)])
    assert stream.end("outcomes") == 1


def test_threads_may_publish_at_once(stream: EventStream) -> None:
    def publish(name: int) -> None:
        for number in range(50):
            stream.publish("outcomes", [b"%d:%d" % (name, number)])

    threads = [threading.Thread(target=publish, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    payloads = [payload for _, payload in stream.read("outcomes", start=0)]
    assert sorted(payloads) == sorted(b"%d:%d" % (name, number) for name in range(4) for number in range(50))


publications = st.lists(st.lists(st.binary(max_size=60), max_size=5), max_size=12)
starting = st.lists(st.integers(0, 70), max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=publications, starts=starting, limit=st.integers(1, 200), maker=st.sampled_from(LOCAL))
def test_any_reads_between_any_publications_agree_with_a_list(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[bytes]],
    starts: list[int],
    limit: int,
    maker: str,
) -> None:
    check_against_a_list(MAKERS[maker](tmp_path_factory.mktemp("stream")), batches, starts, limit)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=publications, starts=starting.filter(lambda starts: len(starts) < 3), limit=st.integers(1, 200))
def test_any_reads_of_kafka_agree_with_a_list(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], starts: list[int], limit: int
) -> None:
    check_against_a_list(MAKERS["kafka"](tmp_path_factory.mktemp("stream")), batches, starts, limit)


def check_against_a_list(stream: EventStream, batches: list[list[bytes]], starts: list[int], limit: int) -> None:
    written: list[bytes] = []
    for batch in batches:
        written += batch
        assert stream.publish("outcomes", batch) == len(written)
        for start in starts:
            if start <= len(written):
                got = stream.read("outcomes", start=start, max_bytes=limit)
                assert got == list(enumerate(written))[start : start + len(got)]
                assert bool(got) == (start < len(written))
    stream.close()
