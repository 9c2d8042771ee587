"""Counting different values, few and many."""

import random

import numpy as np
import pyarrow as pa
import pytest
from tests.oracles.features import features_at
from tests.plants import SECOND, Plant, readings

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.errors import InvalidDefinition
from octavo.features.distinct import KEPT, count_sql, hash_sql, hashes_of, seen_words
from octavo.features.offline.historical import historical_features
from octavo.features.online.materialize import materialize
from octavo.features.online.reader import OnlineReader
from octavo.features.online.reading import count_of
from octavo.stores.duckdb import DuckDB

HOUR = 3_600 * SECOND
machines = FeatureView(
    "machines",
    entity=oc.Entity("machine", key="machine"),
    source=readings,
    features=[oc.distinct("remark", over=["1h", "24h", "7d"]), oc.distinct("number", over="24h")],
)


def names(n: int) -> list[str]:
    return [f"name {number}" for number in range(n)]


@pytest.mark.parametrize("n", [0, 1, 2, KEPT - 1])
def test_few_are_counted_exactly_however_often_they_stand(n: int) -> None:
    words = seen_words(hashes_of(names(n) * 3))
    assert count_of(words.copy()) == n


@pytest.mark.parametrize("n", [KEPT, 5_000, 200_000])
def test_many_are_estimated_to_a_few_per_cent(n: int) -> None:
    assert count_of(seen_words(hashes_of(names(n)))) == pytest.approx(n, rel=0.1)


@pytest.mark.parametrize("n", [3, KEPT, 5_000])
def test_sql_answers_the_same_bits(n: int) -> None:
    rows = pa.table({"name": [*names(n), *names(3), None, "é", ""]})
    sql = f"SELECT {count_sql('hashes')} AS n FROM (SELECT list(DISTINCT {hash_sql('name')}) AS hashes FROM names)"
    found = DuckDB().select(sql.replace("FROM names", "FROM names WHERE name IS NOT NULL"), relations={"names": rows})
    hashes = hashes_of(rows.column("name").to_pylist())
    assert found.column("n").to_pylist() == [count_of(seen_words(hashes[~np.isnan(hashes)]))]


def test_thousands_of_values_count_the_same_online_offline_and_by_the_oracle() -> None:
    plant, chance = Plant(), random.Random(5)
    plant.restart(machines)
    for batch in range(12):
        plant.wait(2 * HOUR)
        plant.send([event(600 * batch + number, chance, plant.now_us) for number in range(600)])
        plant.pump.apply("readings")
    plant.ship()
    at_us = plant.now_us + 1
    wanted = features_at(plant.events, machines, key="a", at_us=at_us)
    assert wanted["remark_distinct_24h"] > KEPT  # type: ignore[operator]  # a number
    assert online(plant, at_us) == [np.float32(value) for value in wanted.values()]
    spine = pa.table({"machine": ["a"], "at": pa.array([at_us], pa.timestamp("us", tz="UTC"))})
    offline = historical_features(plant.stores.tables, [machines], spine=spine, at="at")
    assert [offline.column(f"machines__{name}")[0].as_py() for name in wanted] == list(wanted.values())
    materialize(plant.stores, [machines], clock=plant.clock, force=True)
    assert online(plant, at_us) == [np.float32(value) for value in wanted.values()]


def event(number: int, chance: random.Random, now_us: int) -> dict[str, object]:
    """A reading some of whose remarks have been made before, and may be known late."""
    return {
        "number": number,
        "happened": now_us - chance.randrange(6 * HOUR),
        "known": now_us,
        "machine": "a",
        "remark": f"remark {chance.randrange(3_000)}",
    }


def online(plant: Plant, at_us: int) -> list[float]:
    values = OnlineReader(plant.stores.online, (plan_view(machines),)).read([{"machine": "a"}], at_us=at_us)
    return [float(value) for value in values.values[0]]


def test_what_nearly_every_event_has_for_itself_is_not_counted() -> None:
    with pytest.raises(InvalidDefinition, match="counts nearly every event"):
        FeatureView("v", entity=machines.entities, source=readings, features=[oc.distinct("amount", over="1h")])
