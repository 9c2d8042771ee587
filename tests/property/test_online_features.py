"""Online features against the oracle and against historical features, whatever happens on the way."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.plans import plan_view
from octavo.features.offline.historical import historical_features
from octavo.features.online.materialize import materialize
from octavo.features.online.reader import OnlineReader
from tests.plants import ENTITIES, SECOND, Plant, check, random_events, views

STEPS = ["send", "send", "send again", "apply", "wait", "restart", "ship", "materialize"]
WAITS = [0, 1, SECOND, 5 * SECOND, 600 * SECOND, 3_600 * SECOND, 86_400 * SECOND, 10 * 86_400 * SECOND]
SPANS = [0, 1, SECOND, 60 * SECOND, 300 * SECOND, 3_600 * SECOND, 7_200 * SECOND, 86_400 * SECOND, 7 * 86_400 * SECOND]
ROWS = [{"machine": machine, "plant": plant} for machine, plant in ENTITIES]
scripts = st.lists(st.sampled_from(STEPS), min_size=1, max_size=25)


@given(scripts, st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_online_features_equal_those_of_the_oracle(script: list[str], seed: int) -> None:
    plant, chance = Plant(), random.Random(seed)
    for step in script:
        take(step, plant, chance)
    plant.apply()
    for later in (-SECOND, 0, 1, 10 * SECOND):
        check(plant.read(plant.now_us + later), plant.events, plant.now_us + later)


@given(scripts, st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_online_features_equal_historical_features(script: list[str], seed: int) -> None:
    plant, chance = Plant(), random.Random(seed)
    for step in script:
        take(step, plant, chance)
    plant.apply()
    plant.ship()
    online, at = plant.read(plant.now_us), [plant.now_us] * len(ENTITIES)
    spine = pa.table(
        {
            "machine": pa.array([machine for machine, _ in ENTITIES], pa.string()),
            "plant": pa.array([plant for _, plant in ENTITIES], pa.int64()),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
        }
    )
    answer = historical_features(plant.stores.tables, views, spine=spine, at="at")
    columns = [answer.column(name).to_numpy() for view in views for name in _inputs(view)]
    np.testing.assert_allclose(online.values, np.column_stack(columns).astype(np.float32), rtol=1e-5, atol=1e-4)


@given(scripts, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_reader_that_remembers_reads_what_a_new_one_reads(script: list[str], seed: int) -> None:
    plant, chance = Plant(), random.Random(seed)
    planned = tuple(plan_view(view) for view in views)
    remembering = OnlineReader(plant.stores.online, planned)
    for step in script:
        take(step, plant, chance)
        for span in sorted(chance.choices(SPANS, k=6)):
            at_us = (plant.now_us + span) // 60 * 60 + chance.choice([-1, 0, 1])
            fresh = OnlineReader(plant.stores.online, planned).read(ROWS, at_us=at_us)
            again = remembering.read(ROWS, at_us=at_us)
            for part in ("values", "status", "ages_s"):
                np.testing.assert_array_equal(getattr(again, part), getattr(fresh, part))


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("calls", range(60))
def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(calls: int, before: bool) -> None:
    plant, chance = Plant(), random.Random(calls)
    for step in ("send", "apply", "send", "send again", "ship", "wait", "send"):
        take(step, plant, chance)
    sound = plant.stores
    plant.stores = Mortal(calls, before=before).stores(sound)
    plant.restart()
    with pytest.raises(Killed):
        work(plant, chance)
    plant.stores = sound
    plant.restart()
    plant.apply()
    plant.ship()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    ids = plant.stores.tables.query("SELECT _event_id AS id FROM events", tables={"events": "events/readings"})
    assert sorted(map(str, ids.column("id").to_pylist())) == sorted({str(event["_event_id"]) for event in plant.events})


class Killed(BaseException):
    """The process is no more."""


class Mortal:
    """Kills the process at a call to a store: before it, or after it was done."""

    def __init__(self, calls: int, *, before: bool) -> None:
        self.calls, self.before = calls, before

    def stores(self, sound: Any) -> Any:
        names = ("online", "tables", "stream")
        return replace(sound, **{name: _Watched(getattr(sound, name), self) for name in names})

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls -= 1
        if self.calls < 0 and self.before:
            raise Killed
        answer = function(*args, **kwargs)
        if self.calls < 0:
            raise Killed
        return answer


class _Watched:
    def __init__(self, store: Any, mortal: Mortal) -> None:
        self._store, self._mortal = store, mortal

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._store, name)
        if not callable(function):
            return function
        return lambda *args, **kwargs: self._mortal.call(function, *args, **kwargs)


def work(plant: Plant, chance: random.Random) -> None:
    while True:
        for step in ("apply", "ship", "materialize", "send again", "apply", "ship"):
            take(step, plant, chance)


def take(step: str, plant: Plant, chance: random.Random) -> None:
    match step:
        case "send":
            plant.send(random_events(chance, now_us=plant.now_us, n=chance.choice([1, 1, 2, 5, 40])))
        case "send again":
            again = chance.sample(plant.events, min(len(plant.events), 3))
            if again:
                plant.send([{k: v for k, v in event.items() if k != "_event_id"} for event in again])
        case "apply":
            plant.pump.apply("readings", max_bytes=chance.choice([1, 8_000_000]))
        case "wait":
            plant.wait(chance.choice(WAITS))
        case "restart":
            plant.restart()
        case "ship":
            plant.pump.ship("readings", max_bytes=chance.choice([1, 8_000_000]))
        case "materialize":
            chosen = chance.choice([views, views[:1]])
            materialize(plant.stores, chosen, clock=plant.clock, force=chance.random() < 0.7)


def _inputs(view: Any) -> list[str]:
    return [f"{view.name}__{feature.name}" for feature in view.features]
