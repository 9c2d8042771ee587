"""Reading online features."""

from typing import Any

import numpy as np
import pytest
from tests.plants import SECOND, START, Plant, machines, readings

import octavo as oc
from octavo.clock import from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.features.online.materialize import materialize
from octavo.features.online.reader import OnlineReader, OnlineValues
from octavo.features.values import FeatureStatus

PRESENT, STALE, MISSING, _, UNREAD, _SENT = FeatureStatus
LATEST = [feature.name for feature in machines.features].index("amount_latest")


def event(number: int = 1, *, known: int = START, happened: int | None = None, **columns: Any) -> dict[str, Any]:
    return {
        "number": number,
        "happened": known if happened is None else happened,
        "known": known,
        "machine": "a",
    } | columns


def machine(plant: Plant, at_us: int, key: object = "a") -> OnlineValues:
    return OnlineReader(plant.stores.online, (plan_view(machines),)).read([{"machine": key}], at_us=at_us)


def renamed(*features: Any) -> FeatureView:
    return FeatureView("machines", entity=machines.entities, source=readings, features=list(features))


def test_an_event_counts_from_the_microsecond_after_it_is_known() -> None:
    plant = Plant()
    plant.send([event()])
    plant.apply()
    assert [machine(plant, START + later).values[0, 0] for later in (0, 1)] == [0, 1]


def test_an_event_that_will_be_known_soon_waits_for_its_time() -> None:
    plant = Plant()
    plant.send([event(known=START + 60 * SECOND)])
    plant.apply()
    assert [machine(plant, START + later * SECOND).values[0, 0] for later in (0, 60, 61)] == [0, 0, 1]


def test_a_latest_value_is_stale_from_its_time_to_live_on() -> None:
    plant = Plant()
    plant.send([event(amount=3.0)])
    plant.apply()
    fresh, stale = (machine(plant, START + 7_200 * SECOND + shift) for shift in (-1, 0))
    assert (fresh.values[0, LATEST], fresh.status[0, LATEST]) == (3, PRESENT)
    assert (np.isnan(stale.values[0, LATEST]), stale.status[0, LATEST]) == (True, STALE)
    assert stale.ages_s[0, LATEST] == 7_200


def test_an_age_is_that_of_the_newest_event_with_a_value() -> None:
    plant = Plant()
    plant.send([event(1, known=START - 60 * SECOND, amount=3.0), event(2, amount=None)])
    plant.apply()
    values = machine(plant, START + 10 * SECOND)
    mean = [feature.name for feature in machines.features].index("amount_mean_1h")
    assert (values.ages_s[0, 0], values.ages_s[0, mean]) == (10, 70)


def test_nothing_known_is_zero_for_a_count_and_missing_for_the_rest() -> None:
    plant = Plant()
    plant.apply()
    values = machine(plant, START, key="nobody")
    counts = np.array([feature.operation.counts for feature in machines.features])
    np.testing.assert_array_equal(values.values[0, counts], 0)
    np.testing.assert_array_equal(values.status[0], np.where(counts, PRESENT, MISSING))
    assert np.isnan(values.values[0, ~counts]).all()
    assert np.isnan(values.ages_s).all()


def test_a_view_that_was_never_materialized_is_missing() -> None:
    values = machine(Plant(), START)
    assert set(values.status.ravel().tolist()) == {MISSING}
    assert np.isnan(values.values).all()


def test_values_that_cannot_be_read_are_marked_as_defaults() -> None:
    values = OnlineReader(Plant().stores.online, (plan_view(machines),)).unread(2)
    assert values.values.shape == values.ages_s.shape == (2, len(machines.features))
    assert set(values.status.ravel().tolist()) == {UNREAD}


def test_rows_are_answered_in_their_order_with_a_read_per_entity() -> None:
    plant = Plant()
    plant.send([event(1), event(2), event(3, machine="b")])
    plant.apply()
    reader, asked = OnlineReader(plant.stores.online, (plan_view(machines),)), []
    reader.read([{"machine": "a"}], at_us=START)
    read = plant.stores.online.read
    plant.stores.online.read = lambda keys: asked.append(len(keys)) or read(keys)  # type: ignore[method-assign,func-returns-value]
    values = reader.read([{"machine": key} for key in ("a", "b", "a", "c")], at_us=START + 1)
    assert values.values[:, 0].tolist() == [2, 1, 2, 0]
    assert asked == [1 + 3]


def test_a_text_key_and_a_number_that_look_alike_are_two_entities() -> None:
    plant = Plant()
    plant.send([event(machine="1")])
    plant.apply()
    assert [machine(plant, START + 1, key=key).values[0, 0] for key in ("1", 1)] == [1, 0]


def test_a_very_long_key_is_an_entity_of_its_own() -> None:
    plant = Plant()
    plant.send([event(machine="é" * 1_000)])
    plant.apply()
    assert machine(plant, START + 1, key="é" * 1_000).values[0, 0] == 1
    assert machine(plant, START + 1, key="é" * 999).values[0, 0] == 0


def test_no_views_give_no_columns() -> None:
    assert OnlineReader(Plant().stores.online, ()).read([{}, {}], at_us=START).values.shape == (2, 0)


def test_an_older_plan_reads_what_the_states_of_a_newer_definition_still_hold() -> None:
    plant = Plant()
    plant.send([event(amount=3.0)])
    plant.apply()
    plant.ship()
    newer = renamed(oc.sum("amount", over="24h"), oc.count(over=["1h", "24h"]))
    materialize(plant.stores, [newer], clock=plant.clock)
    older = renamed(oc.count(over="1h"), oc.mean("amount", over=["1h", "24h", "7d"]), oc.max("amount", over="24h"))
    values = OnlineReader(plant.stores.online, (plan_view(older),)).read([{"machine": "a"}], at_us=START + 1)
    np.testing.assert_array_equal(values.values, [[1, 3, 3, np.nan, np.nan]])
    assert values.status[0].tolist() == [PRESENT, PRESENT, PRESENT, MISSING, MISSING]


def test_a_reader_follows_a_new_materialization() -> None:
    plant = Plant()
    plant.send([event(amount=3.0)])
    plant.apply()
    plant.ship()
    before = plant.read(START + 1)
    materialize(plant.stores, [machines], clock=plant.clock, force=True)
    np.testing.assert_array_equal(plant.read(START + 1).values, before.values)


@pytest.mark.parametrize("amount", [1e39, -1e300])
def test_a_value_beyond_float32_is_infinite(amount: float) -> None:
    plant = Plant()
    plant.send([event(amount=amount)])
    plant.apply()
    assert np.isinf(machine(plant, from_micros(START).timestamp().__int__() * SECOND + 1).values[0, LATEST])
