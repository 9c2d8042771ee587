"""Readings that are kept for as long as they hold."""

import numpy as np
import pytest
from tests.plants import SECOND, START, Plant, readings

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.features import readings as keeping
from octavo.features.keys import entity_key, pointer_key
from octavo.features.lookup import Lookup
from octavo.features.readings import FOREVER, KeptReadings, Reading, ages_s

HOUR = 3_600 * SECOND
machines = FeatureView(
    "machines",
    entity=oc.Entity("machine", key="machine"),
    source=readings,
    features=[oc.count(over="1h"), oc.latest("amount", ttl="2h")],
)


def read(*known: int, at_us: int, machine: str = "a") -> Reading:
    """What is read of machine "a" with events that happened at the start and became known at some moments."""
    plant = Plant()
    plant.restart(machines)
    event = {"happened": START, "machine": "a", "amount": 1.0}
    plant.send([{**event, "number": number, "known": at} for number, at in enumerate(known)])
    plant.apply()
    [pointer] = plant.stores.online.read([pointer_key("machines")])
    assert pointer is not None
    lookup = Lookup(pointer, machines.features)
    [data] = plant.stores.online.read([lookup.prefix + entity_key(machine)])
    return lookup.read(data, at_us)


def test_a_reading_holds_until_a_windows_edge_passes_a_tile() -> None:
    reading = read(START, at_us=START + 1)
    assert (reading.since_us, reading.until_us) == (START + 1, START + 300 * SECOND)
    assert reading.values.tolist() == [1.0, 1.0]


def test_a_reading_holds_until_another_event_counts() -> None:
    reading = read(START, START + 5 * SECOND, at_us=START + 1)
    assert (reading.until_us, reading.values[0]) == (START + 5 * SECOND + 1, 1.0)


def test_a_reading_holds_until_a_value_becomes_stale() -> None:
    assert read(START, at_us=START + 2 * HOUR - 10 * SECOND).until_us == START + 2 * HOUR
    assert read(START, at_us=START + 2 * HOUR).status.tolist() == [0, 1]


def test_nothing_known_holds_for_ever() -> None:
    reading = read(START, at_us=START, machine="b")
    assert (reading.until_us, reading.values[0], np.isnan(reading.values[1])) == (FOREVER, 0.0, True)


class Counting:
    """Reads, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, data: bytes | None, at_us: int) -> Reading:
        self.times += 1
        empty = np.zeros(1)
        return Reading(
            data=data,
            since_us=at_us,
            until_us=at_us + 10,
            values=empty.astype(np.float32),
            status=empty.astype(np.uint8),
            newest_us=empty,
        )


@pytest.mark.parametrize(
    ("key", "data", "at_us", "times"),
    [
        (b"a", b"1", 5, 1),
        (b"a", b"1", 14, 1),
        (b"a", b"1", 15, 2),
        (b"a", b"1", 4, 2),
        (b"a", b"2", 5, 2),
        (b"b", b"1", 5, 2),
    ],
)
def test_a_state_is_read_again_when_it_or_the_moment_is_another(
    key: bytes, data: bytes, at_us: int, times: int
) -> None:
    read = Counting()
    kept = KeptReadings(read)
    kept.of(b"a", b"1", 5)
    kept.of(key, data, at_us)
    assert read.times == times


def test_what_is_kept_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_KEPT_BYTES", 100_000)
    kept = KeptReadings(Counting())
    for number in range(1_000):
        kept.of(b"%d" % number, bytes(1_000), 5)
        kept.of(b"%d" % number, bytes(2_000), 5)
    assert 0 < len(kept._kept) <= 100
    assert kept._bytes == sum(keeping._size(reading) for reading in kept._kept.values())


def test_ages_grow_while_a_reading_holds() -> None:
    newest = np.array([START, np.nan])
    np.testing.assert_array_equal(ages_s(newest, at_us=START + SECOND // 2), np.array([0.5, np.nan], np.float32))
