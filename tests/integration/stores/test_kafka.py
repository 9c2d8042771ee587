"""The stream in Kafka: what goes wrong there, who shares it, and that everything counts once."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from octavo.clock import from_micros
from octavo.config import Config, StoreSettings
from octavo.errors import IntegrityError, Unavailable
from octavo.features.events.dead_letters import find_letters
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.backlog import backlog
from octavo.features.online.pump import Pump
from octavo.stores.kafka import KafkaGroup, KafkaStream
from octavo.stores.open import join_workers, open_stream
from octavo.stores.partitions import ends
from octavo.stores.ports import ConsumerGroup
from tests.brokers import Brokers
from tests.plants import START, Plant, check, memory_stores, project_of, random_events, readings, views

TOPIC, PATIENCE_S = "events.readings", 30.0


@pytest.fixture
def stream(brokers: Brokers) -> Iterator[KafkaStream]:
    brokers.make(f"shop.{TOPIC}", partitions=3)
    opened = KafkaStream(brokers.address("shop", timeout_s=2.0))
    yield opened
    opened.close()


@pytest.fixture
def plant(stream: KafkaStream) -> Plant:
    return Plant(stores=replace(memory_stores(), stream=stream))


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.01)


def test_events_go_to_the_partitions_and_count_once_however_often_they_are_sent(plant: Plant) -> None:
    chance = random.Random(1)
    for _ in range(5):
        plant.send(random_events(chance, now_us=plant.now_us, n=20))
        plant.send([{k: v for k, v in e.items() if k != "_event_id"} for e in chance.sample(plant.events, 5)])
        plant.apply()
    plant.ship()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    assert min(ends(plant.stores.stream, TOPIC)) > 0
    assert rows_of(plant) == len({event["_event_id"] for event in plant.events})


def test_an_event_that_is_sent_again_goes_to_the_partition_where_it_stands(plant: Plant) -> None:
    event = random_events(random.Random(2), now_us=plant.now_us, n=1)
    plant.send(event)
    plant.send(event)
    assert sorted(ends(plant.stores.stream, TOPIC)) == [0, 0, 2]


def test_a_restart_reads_on_from_the_marks(plant: Plant) -> None:
    chance = random.Random(3)
    for _ in range(3):
        plant.send(random_events(chance, now_us=plant.now_us, n=10))
        plant.pump.apply("readings", max_bytes=1)
        plant.restart()
    plant.apply()
    plant.ship()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    assert backlog(plant.stores, project_of(*views), "readings").unshipped == 0


def test_a_broker_that_is_away_is_told_within_a_bounded_time(brokers: Brokers, stream: KafkaStream) -> None:
    stream.publish(TOPIC, [b"x"])
    brokers.go_away()
    for ask in (
        lambda: stream.publish(TOPIC, [b"y"]),
        lambda: stream.end(TOPIC),
        lambda: stream.read(TOPIC, start=0),
        stream.topics,
    ):
        began_s = time.monotonic()
        with pytest.raises(Unavailable, match=r"the Kafka at .*/shop cannot be used now: .*; see that its brokers run"):
            ask()
        assert time.monotonic() - began_s < 6.0


def test_a_broker_that_comes_back_goes_on(brokers: Brokers, stream: KafkaStream) -> None:
    stream.publish(TOPIC, [b"x"])
    brokers.go_away()
    with pytest.raises(Unavailable):
        stream.publish(TOPIC, [b"y"])
    brokers.come_back()
    until(lambda: succeeds(lambda: stream.publish(TOPIC, [b"z"])))
    assert [payload for _, payload in stream.read(TOPIC, start=0)][-1] == b"z"


def test_a_batch_larger_than_a_message_may_be_is_split_into_rows(brokers: Brokers) -> None:
    rows = [
        {"number": n, "happened": from_micros(START), "known": from_micros(START), "remark": "x" * 1000}
        for n in range(200)
    ]
    with closing(KafkaStream(brokers.address("small", payload_bytes=50_000))) as stream:
        plant = Plant(stores=replace(memory_stores(), stream=stream))
        accepted = ingest_rows(rows, readings, stream=stream, clock=plant.clock)
        plant.apply()
        plant.ship()
        assert accepted.offset >= 4
        assert rows_of(plant) == 200


def test_messages_of_another_application_are_taken_and_bad_ones_kept(brokers: Brokers, plant: Plant) -> None:
    good = {"number": 1, "happened": "2013-12-30T00:00:00Z", "known": "2013-12-30T00:00:00Z", "machine": "a"}
    producer = Producer({"bootstrap.servers": brokers.servers})
    for message in (msgspec.json.encode(good), msgspec.json.encode([{**good, "number": 2}, {"number": 3}]), b"\xff"):
        producer.produce(f"shop.{TOPIC}", message)
    producer.flush()
    plant.apply()
    plant.ship()
    letters = find_letters("readings", stream=plant.stores.stream, tables=plant.stores.tables)
    assert rows_of(plant) == 2
    assert sorted(letter.payload for letter in letters) == [b"\xff", b'{"number":3}'][::-1]


def test_a_topic_that_is_kept_too_short_is_an_error_and_no_loss(brokers: Brokers, stream: KafkaStream) -> None:
    stream.publish(TOPIC, [b"a", b"b", b"c", b"d"])
    brokers.forget(f"shop.{TOPIC}", 0, before=3)
    assert stream.read(TOPIC, start=0) == [(3, b"d")], "who begins, begins where Kafka does"
    with pytest.raises(IntegrityError, match="Kafka has dropped what was not read yet, so raise the topic's retention"):
        stream.read(TOPIC, start=2)


def test_how_far_the_worker_is_can_be_seen_in_kafka(brokers: Brokers, plant: Plant) -> None:
    with closing(KafkaGroup(brokers.address("shop"), name="worker", topics=[TOPIC])) as group:
        until(lambda: len(group.mine(TOPIC)) == 3)
        pump = Pump(plant.stores, project_of(*views), plant.clock, group=group)
        plant.send(random_events(random.Random(4), now_us=plant.now_us, n=30))
        while pump.apply("readings"):
            pass
        wanted = list(ends(plant.stores.stream, TOPIC))
        until(lambda: group.mine(TOPIC) != () and committed(brokers) == wanted)


def test_two_workers_share_the_partitions_and_one_takes_over_from_the_other(brokers: Brokers, plant: Plant) -> None:
    address = brokers.address("shop")
    first = KafkaGroup(address, name="worker", topics=[TOPIC])
    until(lambda: len(first.mine(TOPIC)) == 3)
    with closing(KafkaGroup(address, name="worker", topics=[TOPIC])) as second:
        until(lambda: {len(first.mine(TOPIC)), len(second.mine(TOPIC))} == {1, 2})
        assert sorted(first.mine(TOPIC) + second.mine(TOPIC)) == list(plant.stores.stream.partitions(TOPIC))
        plant.send(random_events(random.Random(5), now_us=plant.now_us, n=60))
        for group in (first, second):
            carry(plant, group)
        check(plant.read(plant.now_us), plant.events, plant.now_us)
        first.close()
        until(lambda: len(second.mine(TOPIC)) == 3)
        plant.send(random_events(random.Random(6), now_us=plant.now_us, n=60))
        carry(plant, second)
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    assert rows_of(plant) == len(plant.events)


def test_the_settings_choose_kafka(brokers: Brokers) -> None:
    url = f"kafka://{brokers.servers}/shop?create=no&partitions=3"
    config = Config(stores=StoreSettings(stream=url))
    with closing(open_stream(config)) as stream:
        stream.publish("outcomes", [b"x"])
        assert stream.topics() == ["outcomes"]
    group = join_workers(config, [TOPIC])
    assert group is not None
    group.close()
    assert join_workers(Config(), [TOPIC]) is None


def carry(plant: Plant, group: ConsumerGroup) -> None:
    pump = Pump(plant.stores, project_of(*views), plant.clock, group=group)
    while pump.apply("readings"):
        pass
    while pump.ship("readings"):
        pass


def committed(brokers: Brokers) -> list[int]:
    consumer = Consumer({"bootstrap.servers": brokers.servers, "group.id": "shop.worker"})
    places = [TopicPartition(f"shop.{TOPIC}", number) for number in range(3)]
    found = consumer.committed(places, timeout=5)
    consumer.close()
    return [place.offset for place in found]


def rows_of(plant: Plant) -> int:
    rows = plant.stores.tables.query("SELECT count(*) AS n FROM t", tables={"t": "events/readings"})
    return int(rows.column("n")[0].as_py())


def succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except Unavailable:
        return False
    return True
