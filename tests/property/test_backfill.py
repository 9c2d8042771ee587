"""A stream that goes on and a backfill that is killed and goes on, over several partitions: nothing counts twice."""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.features.online import builds
from octavo.features.online.builds import resume_build
from octavo.features.online.materialize import materialize
from octavo.stores.memory import MemoryEventStream, MemoryOnlineStore
from tests.plants import SECOND, Plant, check, machines, memory_stores, random_events, readings, sites, views
from tests.property.test_online_features import Killed, Mortal

STEPS = [
    "send",
    "send",
    "send again",
    "apply",
    "apply",
    "ship",
    "backfill",
    "killed backfill",
    "more partitions",
    "wait",
]
scripts = st.lists(st.sampled_from(STEPS), min_size=1, max_size=15)


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(builds, "_PART_ROWS", 4)
        patched.setattr(builds, "WRITE_KEYS", 2)
        yield


def partitioned(count: int) -> Plant:
    return Plant(stores=replace(memory_stores(), stream=MemoryEventStream(partitions=count)))


@given(scripts, st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_backfills_and_the_stream_end_like_the_oracle_however_they_overlap(
    script: list[str], partitions: int, seed: int
) -> None:
    plant, chance = partitioned(partitions), random.Random(seed)
    for step in script:
        take(step, plant, chance)
    plant.restart()
    plant.apply()
    plant.ship()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    assert shipped_ids(plant) == sorted({str(event["_event_id"]) for event in plant.events})


@pytest.mark.parametrize("calls", range(0, 60, 2))
def test_a_backfill_killed_between_any_two_steps_goes_on_in_its_generation(calls: int) -> None:
    plant, chance = filled(calls), random.Random(calls)
    sound = plant.stores
    with pytest.raises(Killed):
        build_for_ever(Mortal(calls, before=True).stores(sound), plant)
    plant.send(random_events(chance, now_us=plant.now_us, n=5))
    plant.apply()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    begun = resume_build(sound, machines, now_us=plant.now_us)
    materialize(sound, [machines], clock=plant.clock, force=True)
    plant.apply()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    assert begun is None or only_generation(sound.online) == begun.generation.id


def test_a_resumed_backfill_does_not_write_again_what_is_written() -> None:
    plant = filled(1)
    whole = materialize(plant.stores, [machines], clock=plant.clock, force=True)[0].entities
    assert whole > 1
    with pytest.raises(Killed):
        materialize(plant.stores, [machines], clock=plant.clock, force=True, progress=killed_after(parts=3))
    rest = materialize(plant.stores, [machines], clock=plant.clock, force=True)[0].entities
    assert rest == 0, "all parts were written before it was killed"


def test_an_interrupted_backfill_leaves_the_live_states_as_they_are() -> None:
    plant = filled(2)
    before = plant.read(plant.now_us).values.tobytes()
    with pytest.raises(KeyboardInterrupt):
        materialize(plant.stores, views, clock=plant.clock, force=True, progress=interrupted)
    assert plant.read(plant.now_us).values.tobytes() == before


def test_what_comes_into_the_table_during_a_backfill_is_left_to_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(builds, "_PART_ROWS", 1)
    plant, chance, told = filled(6), random.Random(6), []

    def overlap(fraction: float, message: str) -> None:
        if "to go" in message and not told:
            plant.send(random_events(chance, now_us=plant.now_us, n=40))
            plant.apply()
            plant.ship()
            told.append(message)

    materialize(plant.stores, views, clock=plant.clock, force=True, progress=overlap)
    plant.apply()
    assert told
    check(plant.read(plant.now_us), plant.events, plant.now_us)


def test_a_backfill_of_another_definition_is_begun_anew() -> None:
    plant = filled(3)
    with pytest.raises(Killed):
        materialize(plant.stores, [machines], clock=plant.clock, force=True, progress=killed_after(parts=2))
    changed = FeatureView("machines", entity=machines.entities, source=readings, features=[oc.count(over="2h")])
    assert resume_build(plant.stores, machines, now_us=plant.now_us) is not None
    assert resume_build(plant.stores, changed, now_us=plant.now_us) is None


def test_a_backfill_of_last_week_is_begun_anew() -> None:
    plant = filled(4)
    with pytest.raises(Killed):
        materialize(plant.stores, [machines], clock=plant.clock, force=True, progress=killed_after(parts=2))
    plant.wait(7 * 86_400 * SECOND)
    assert resume_build(plant.stores, machines, now_us=plant.now_us) is None
    materialize(plant.stores, [machines], clock=plant.clock, force=True)
    assert only_generation(plant.stores.online)
    check(plant.read(plant.now_us), plant.events, plant.now_us)


def test_progress_tells_rows_rate_and_what_remains() -> None:
    plant, told = filled(5), []
    materialize(plant.stores, [machines], clock=plant.clock, force=True, progress=lambda *step: told.append(step))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert "rows, " in told[1][1]
    assert told[1][1].endswith("s to go")


def filled(seed: int) -> Plant:
    """Two partitions, all of whose events are in states and table."""
    plant, chance = partitioned(2), random.Random(seed)
    for _ in range(4):
        plant.send(random_events(chance, now_us=plant.now_us, n=5))
        plant.apply()
        plant.ship()
    return plant


def take(step: str, plant: Plant, chance: random.Random) -> None:
    match step:
        case "send":
            plant.send(random_events(chance, now_us=plant.now_us, n=chance.choice([1, 2, 5, 20])))
        case "send again" if plant.events:
            again = chance.sample(plant.events, min(len(plant.events), 4))
            plant.send([{k: v for k, v in event.items() if k != "_event_id"} for event in again])
        case "apply":
            plant.pump.apply("readings", max_bytes=chance.choice([1, 8_000_000]))
        case "ship":
            plant.pump.ship("readings", max_bytes=chance.choice([1, 8_000_000]))
        case "backfill":
            backfill(plant, chance, kill_after=None)
        case "killed backfill":
            with suppress(Killed):
                backfill(plant, chance, kill_after=chance.randrange(4))
            plant.restart()
        case "more partitions":
            stream = plant.stores.stream
            assert isinstance(stream, MemoryEventStream)
            stream.partition_count = min(stream.partition_count + 1, 4)
        case "wait":
            plant.wait(chance.choice([1, SECOND, 3_600 * SECOND]))


def backfill(plant: Plant, chance: random.Random, *, kill_after: int | None) -> None:
    """Build states, and let the stream go on between any two parts."""
    told = 0

    def overlap(fraction: float, message: str) -> None:
        nonlocal told
        if told == kill_after:
            raise Killed
        told += 1
        if told < 4:
            for step in ("send", "apply", "send again", "ship", "wait")[chance.randrange(3) :]:
                take(step, plant, chance)

    chosen = chance.choice([views, (machines,), (sites,)])
    materialize(
        plant.stores, chosen, clock=plant.clock, force=chance.random() < 0.7 or kill_after is not None, progress=overlap
    )


def build_for_ever(stores: Any, plant: Plant) -> None:
    while True:
        materialize(stores, [machines], clock=plant.clock, force=True)


def killed_after(*, parts: int) -> Any:
    told = 0

    def tell(fraction: float, message: str) -> None:
        nonlocal told
        told += 1
        if told > parts:
            raise Killed

    return tell


def interrupted(fraction: float, message: str) -> None:
    if "to go" in message:
        raise KeyboardInterrupt


def only_generation(online: Any) -> bytes:
    """The id of the one generation of machines whose states are in the store."""
    assert isinstance(online, MemoryOnlineStore)
    prefix = b"state\0machines\0"
    [only] = {key[len(prefix) :][:8] for key in online._values if key.startswith(prefix)}
    return only


def shipped_ids(plant: Plant) -> list[str]:
    if plant.stores.tables.version("events/readings") < 0:
        return []
    rows = plant.stores.tables.query("SELECT _event_id AS id FROM events", tables={"events": "events/readings"})
    return sorted(map(str, rows.column("id").to_pylist()))
