"""What every topic that others read promises."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from octavo.stores.kafka import KafkaTopic
from octavo.stores.memory import MemoryTopic
from octavo.stores.topics import Message, MessageTopic
from tests.brokers import Brokers

PATIENCE_S = 30.0


@cache
def shared_brokers() -> Brokers:
    """Brokers for all tests of this module; each has topics of its own."""
    return Brokers()


def kafka_topic(path: Path) -> KafkaTopic:
    name = f"{path.parent.name}-{path.name}".replace("[", "-")
    shared_brokers().make(name, partitions=3)
    return KafkaTopic(shared_brokers().address(name))


MAKERS: dict[str, Callable[[Path], MessageTopic]] = {
    "memory": lambda _: MemoryTopic(partitions=3),
    "kafka": kafka_topic,
}


@pytest.fixture(params=MAKERS)
def topic(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MessageTopic]:
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def messages(sender: str, *numbers: int) -> list[Message]:
    return [Message(key=f"key {n}", place=f"{sender}/{n}", value=b"%d" % n) for n in numbers]


def test_a_new_topic_holds_nothing(topic: MessageTopic) -> None:
    assert set(topic.ends().values()) == {0}
    assert topic.places({}, sender="a") == set()


def test_what_is_sent_is_there_once_it_is_acknowledged(topic: MessageTopic) -> None:
    topic.send(messages("a", *range(20)))
    reached = topic.wait(PATIENCE_S)
    assert reached is not None
    assert sum(reached.values()) == 20
    assert topic.ends() == {0: 0, 1: 0, 2: 0} | dict(reached)
    assert topic.places({}, sender="a") == {f"a/{n}" for n in range(20)}


def test_nothing_to_send_is_acknowledged_at_once(topic: MessageTopic) -> None:
    topic.send([])
    assert topic.wait(0.0) == {}


def test_only_a_senders_own_messages_are_its(topic: MessageTopic) -> None:
    for sender in ("a", "ab"):
        topic.send(messages(sender, 1))
        topic.wait(PATIENCE_S)
    assert topic.places({}, sender="a") == {"a/1"}


def test_it_may_be_looked_at_from_some_place_on(topic: MessageTopic) -> None:
    topic.send(messages("a", *range(5)))
    topic.wait(PATIENCE_S)
    since = topic.ends()
    topic.send(messages("a", *range(5, 9)))
    topic.wait(PATIENCE_S)
    assert topic.places(since, sender="a") == {f"a/{n}" for n in range(5, 9)}


def test_a_topic_has_an_identity_of_its_own(topic: MessageTopic, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    others = [make(tmp_path / "b") for make in MAKERS.values()]
    assert len({topic.identity(), topic.identity(), *(other.identity() for other in others)}) == 3
    for other in others:
        other.close()
