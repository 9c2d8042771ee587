"""Whatever the order of events, however late they come: an audit calls a sound store right, and a wrong one wrong."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.features import FeatureView
from octavo.features.audit.comparison import FeatureAudit, Reason, audit_view
from octavo.features.audit.recomputed import AT, Served
from octavo.features.online.keys import decode_generation, entity_key, pointer_key
from octavo.features.online.materialize import materialize
from tests.plants import ENTITIES, SECOND, Plant, machines, random_events, sites, views

STEPS = ["send", "send", "send again", "apply", "apply", "ask", "ask", "wait", "restart", "materialize"]
WAITS = [0, 1, SECOND, 5 * SECOND, 600 * SECOND, 3_600 * SECOND, 86_400 * SECOND, 10 * 86_400 * SECOND]
ANY_LAG = timedelta(days=36_500)


@dataclass
class Asked:
    """What a plant was asked, and answered."""

    at_us: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    status: list[Any] = field(default_factory=list)

    def ask(self, plant: Plant) -> None:
        read = plant.read(plant.now_us)
        self.at_us += [plant.now_us] * len(ENTITIES)
        self.values.append(read.values)
        self.status.append(read.status)

    def of(self, view: FeatureView) -> Served:
        """What was served of a view."""
        rounds = len(self.values)
        first = 0 if view is machines else len(machines.features)
        columns = slice(first, first + len(view.features))
        spine = {
            "machine": pa.array([machine for machine, _ in ENTITIES] * rounds, pa.string()),
            "plant": pa.array([site for _, site in ENTITIES] * rounds, pa.int64()),
            AT: pa.array(self.at_us, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
        }
        return Served(
            ids=np.array([str(n) for n in range(len(self.at_us))], object),
            spine=pa.table(spine),
            values=np.concatenate(self.values)[:, columns],
            status=np.concatenate(self.status)[:, columns],
            unread=np.zeros(len(self.at_us), np.bool_),
        )


def take(step: str, plant: Plant, asked: Asked, chance: random.Random) -> None:
    match step:
        case "send":
            plant.send(random_events(chance, now_us=plant.now_us, n=chance.randint(1, 6)))
        case "send again" if plant.events:
            again = chance.choices(plant.events, k=3)
            plant.send([{name: value for name, value in event.items() if name != "_event_id"} for event in again])
        case "apply":
            plant.apply()
        case "ask":
            asked.ask(plant)
        case "wait":
            plant.wait(chance.choice(WAITS))
        case "restart":
            plant.restart()
        case "materialize":
            plant.ship()
            materialize(plant.stores, views, clock=plant.clock, force=chance.random() < 0.7)


def audited(plant: Plant, asked: Asked, *, lag: timedelta = ANY_LAG) -> list[FeatureAudit]:
    plant.apply()
    plant.ship()
    return [
        feature
        for view in (machines, sites)
        for feature in audit_view(plant.stores.tables, served_by=view, declared=view, served=asked.of(view), lag=lag)
    ]


@pytest.mark.slow
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=20), st.integers(0, 2**32))
@settings(max_examples=6, deadline=None)
def test_without_corruption_the_store_is_never_called_wrong(script: list[str], seed: int) -> None:
    plant, asked, chance = Plant(), Asked(), random.Random(seed)
    plant.apply()
    for step in [*script, "ask"]:
        take(step, plant, asked, chance)
    for feature in audited(plant, asked):
        assert set(feature.counts) <= {Reason.EQUAL, Reason.LATE_DATA}, feature
        assert sum(feature.counts.values()) == len(asked.at_us)


@pytest.mark.slow
@given(st.lists(st.sampled_from(STEPS), max_size=12), st.integers(0, 2**32))
@settings(max_examples=6, deadline=None)
def test_a_store_that_lost_an_entity_is_called_wrong(script: list[str], seed: int) -> None:
    plant, asked, chance = Plant(), Asked(), random.Random(seed)
    plant.apply()
    for step in [*script, "send", "apply"]:
        take(step, plant, asked, chance)
    plant.wait(10 * SECOND)  # until what was sent ahead of its time is known
    before, asked = plant.read(plant.now_us), Asked()
    lose(plant, "a")
    asked.ask(plant)
    kept = (before.values == asked.values[0]) | (np.isnan(before.values) & np.isnan(asked.values[0]))
    lost = ~np.isclose(before.values, asked.values[0], atol=1e-3, equal_nan=True)
    restated = before.status != asked.status[0]
    wrong = np.array([feature.counts.get(Reason.STORE_WRONG, 0) for feature in audited(plant, asked, lag=timedelta())])
    assert ((lost | restated).sum(axis=0) <= wrong).all()
    assert (wrong <= (~kept | restated).sum(axis=0)).all(), "weights that have all but decayed may be lost or not"


def lose(plant: Plant, machine: str) -> None:
    """Lose the state of a machine."""
    [pointer] = plant.stores.online.read([pointer_key("machines")])
    assert pointer is not None
    plant.stores.online.write({decode_generation(pointer).prefix + entity_key(machine): None}, marks={})
