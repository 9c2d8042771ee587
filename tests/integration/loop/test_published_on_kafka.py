"""Predictions on their way to a topic in Kafka, while the worker is killed and the brokers go away."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from octavo.config import Config, PredictorSettings
from octavo.errors import Unavailable
from octavo.loop.carrier import Carrier
from octavo.loop.duties import publisher_of
from octavo.loop.predictor_logs import PredictorLogs
from octavo.monitoring.publication import PredictionPublisher, unpublished
from octavo.operations import Context
from octavo.serving.fellows import Worker, predictor_folder
from octavo.serving.recorder import TOPIC
from octavo.serving.records import BlockHead, PredictionBlock
from octavo.stores.kafka import KafkaTopic
from octavo.stores.kafka.topic import PLACE_HEADER
from octavo.stores.log import LocalLog
from octavo.stores.topics import Message
from tests.brokers import Brokers
from tests.integration.stores.processes import python
from tests.stages import Stage, set_stage

NAME, PATIENCE_S = "shop.predictions", 60.0
HEAD = msgspec.Raw(msgspec.msgpack.encode(BlockHead("eta", "delay", 1, "sha256:0", "live", {"origin": 0}, {})))

PUBLISH = """
import sys
from pathlib import Path
from octavo.errors import Unavailable
from tests.integration.loop.test_published_on_kafka import publisher

made = publisher(Path(sys.argv[1]), sys.argv[2])
while True:
    if made.publish(wait_s=5.0, max_bytes=2_000):
        print("published", flush=True)
"""


def publisher(home: Path, servers: str) -> PredictionPublisher:
    """What the worker makes, but for bundles."""
    from octavo.monitoring.messages import MessageWriter
    from tests.plants import memory_stores

    topic = KafkaTopic(Brokers.address_of(servers, NAME, timeout_s=2.0))
    write = MessageWriter(memory_stores()).write
    return PredictionPublisher(topic, records=PredictorLogs(home).all, folder=predictor_folder(home), write=write)


def record(home: Path, first: int, n_requests: int, *, worker: int = 0) -> set[str]:
    """Record requests of two rows each, as one of the predictor's workers does; their ids."""
    log = LocalLog(Worker(number=worker).log_folder(home), sync=False)
    made = set()
    for number in range(first, first + n_requests):
        ids = [(2 * number + row).to_bytes(16, "big") for row in range(2)]
        made |= {one.hex() for one in ids}
        block = PredictionBlock(
            head=HEAD, at_us=number, ids=b"".join(ids), rows=[["JFK"], ["LGA"]], columns=None, inputs=b"",
            status=b"", ages_s=b"", outputs=bytes(16), latency_us=1, caller="", trace="",
        )  # fmt: skip
        log.publish(TOPIC, [msgspec.msgpack.encode(block)])
    log.close()
    return made


def published(servers: str) -> list[dict[str, Any]]:
    """All messages of the topic, whoever wrote them."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "isolation.level": "read_uncommitted"})
    partitions = [TopicPartition(NAME, p, 0) for p in consumer.list_topics(NAME, timeout=10).topics[NAME].partitions]
    left = sum(consumer.get_watermark_offsets(at, timeout=10)[1] for at in partitions)
    consumer.assign(partitions)
    found: list[dict[str, Any]] = []
    while len(found) < left:
        message: Any = consumer.poll(10)
        assert message is not None, "in vain"
        assert message.error() is None
        row = msgspec.json.decode(message.value())
        assert message.key() == row["id"].encode()
        assert [name for name, _ in message.headers()] == [PLACE_HEADER]
        found.append(row)
    consumer.close()
    return found


def ids(servers: str) -> Counter[str]:
    return Counter(row["id"].replace("-", "") for row in published(servers))


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.02)


@pytest.fixture
def topic(brokers: Brokers) -> Brokers:
    brokers.make(NAME, partitions=3)
    return brokers


def test_killed_again_and_again_it_loses_and_doubles_nothing(tmp_path: Path, topic: Brokers) -> None:
    recorded: set[str] = set()
    for life in range(5):
        for worker in range(3):
            recorded |= record(tmp_path, 1_000 * life + 100 * worker, 60, worker=worker)
        with python(PUBLISH, tmp_path, topic.servers) as child:
            assert [child.line() for _ in range(2 + life)] == ["published"] * (2 + life)
    last = publisher(tmp_path, topic.servers)
    while last.publish(wait_s=PATIENCE_S):
        pass
    last.close()
    assert ids(topic.servers) == Counter(recorded)


def test_what_was_sent_and_not_noted_is_found_and_not_sent_again(tmp_path: Path, topic: Brokers) -> None:
    first = publisher(tmp_path, topic.servers)
    assert first.publish(wait_s=PATIENCE_S) == 0
    mark = (predictor_folder(tmp_path) / "published.json").read_bytes()
    recorded = record(tmp_path, 0, 30, worker=1)
    assert first.publish(wait_s=PATIENCE_S, max_bytes=2_000)
    first.close()
    (predictor_folder(tmp_path) / "published.json").write_bytes(mark)
    second = publisher(tmp_path, topic.servers)
    recorded |= record(tmp_path, 100, 5)
    while second.publish(wait_s=PATIENCE_S):
        pass
    second.close()
    assert ids(topic.servers) == Counter(recorded)


def test_brokers_that_go_away_in_the_midst_get_the_rest_when_they_are_back(tmp_path: Path, topic: Brokers) -> None:
    made = publisher(tmp_path, topic.servers)
    recorded = record(tmp_path, 0, 20)
    made.publish(wait_s=PATIENCE_S)
    topic.go_away()
    recorded |= record(tmp_path, 100, 20)
    for _ in range(3):
        with pytest.raises(Unavailable, match=f"the topic {NAME} of the Kafka at .* cannot be written to now"):
            made.publish(wait_s=0.3)
    assert unpublished(predictor_folder(tmp_path), PredictorLogs(tmp_path).all()).records == 20
    topic.come_back()
    until(lambda: tried(made) == 0)
    made.close()
    assert ids(topic.servers) == Counter(recorded)


def tried(made: PredictionPublisher) -> int:
    try:
        return made.publish(wait_s=1.0)
    except Unavailable:
        return -1


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def carried(stage: Stage, config: Config, logs: PredictorLogs, own: PredictorLogs) -> Carrier:
    context = Context(
        config=config, clock=stage.clock, stores=stage.context.stores, project=stage.context.project,
        principal=stage.context.principal,
    )  # fmt: skip
    return Carrier(
        context,
        shipping=stage.context.stores.stream,
        records=logs.all,
        publisher=publisher_of(context, records=own.all),
    )


def test_tables_are_written_while_the_brokers_are_away_and_they_get_all_later(stage: Stage, topic: Brokers) -> None:
    home = stage.context.config.home
    url = f"kafka://{topic.servers}/{NAME}?create=no&timeout_s=1"
    config = Config(root=stage.context.config.root, predictor=PredictorSettings(publish=url))
    logs, own = PredictorLogs(home), PredictorLogs(home)
    carrier = carried(stage, config, logs, own)
    topic.go_away()
    carrier.start()
    recorded = record(home, 0, 10)
    carrier.ship_all()
    rows = stage.context.stores.tables.query("SELECT count(*) AS n FROM p", tables={"p": "predictions"})
    assert rows["n"].to_pylist() == [20]
    topic.come_back()
    until(lambda: unpublished(predictor_folder(home), own.all()).records == 0)
    carrier.stop()
    assert ids(topic.servers) == Counter(recorded)


def test_a_topic_that_is_absent_is_looked_at_as_an_empty_one(tmp_path: Path, brokers: Brokers) -> None:
    recorded = record(tmp_path, 0, 3)
    made = publisher(tmp_path, brokers.servers)
    assert made.publish(wait_s=PATIENCE_S) == 3
    made.close()
    assert ids(brokers.servers) == Counter(recorded)


def test_places_before_what_is_kept_and_beyond_the_end_are_looked_at_from_the_first_kept(topic: Brokers) -> None:
    opened = KafkaTopic(topic.address(NAME))
    opened.send([Message(key="k", place=f"a/{n}", value=b"") for n in range(4)])
    [(partition, end)] = dict(opened.wait(PATIENCE_S) or {}).items()
    topic.forget(NAME, partition, before=2)
    kept = {"a/2", "a/3"}
    assert [opened.places({partition: at}, sender="a") for at in (0, end, end + 9)] == [kept, set(), kept]
    opened.close()


def test_a_message_that_the_library_refuses_is_told(topic: Brokers) -> None:
    opened = KafkaTopic(topic.address(NAME, payload_bytes=1_000))
    with pytest.raises(Unavailable, match="Message size too large"):
        opened.send([Message(key="k", place="a/0", value=bytes(100_000))])
    opened.send([Message(key="k", place="a/1", value=b"")])
    assert opened.wait(PATIENCE_S)
    opened.close()
