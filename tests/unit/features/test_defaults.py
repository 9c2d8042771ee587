"""A declared default stands in where a value is not known, and says so."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.plants import SECOND, START, Plant, machines, readings

import octavo as oc
from octavo.clock import from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.features.defaults import Defaults
from octavo.features.offline.historical import historical_features
from octavo.features.online.keys import generation_of
from octavo.features.online.reader import OnlineReader
from octavo.features.values import FeatureStatus, OnlineValues

PRESENT, STALE, MISSING, DEFAULT, UNREAD, _SENT = FeatureStatus
TTL_US = 7_200 * SECOND


def view(**about: Any) -> FeatureView:
    """The plant's machines, of which the newest amount and their number are taken."""
    features = [oc.latest("amount", ttl="2h", **about), oc.count(over="1h")]
    return FeatureView("machines", entity=machines.entities, source=readings, features=features)


def sent(plant: Plant) -> Plant:
    plant.send([{"number": 1, "happened": START, "known": START, "machine": "a", "amount": 3.0}])
    plant.apply()
    return plant


def online(plant: Plant, key: str, *, at_us: int, default: float | None) -> OnlineValues:
    views = (plan_view(view() if default is None else view(default=default)),)
    return OnlineReader(plant.stores.online, views).read([{"machine": key}], at_us=at_us)


@pytest.mark.parametrize(
    ("key", "later_us", "value", "status"),
    [("a", 1, 3.0, PRESENT), ("a", TTL_US, -1.0, DEFAULT), ("nobody", 1, -1.0, DEFAULT)],
)
def test_it_stands_in_for_what_is_stale_or_missing(
    key: str, later_us: int, value: float, status: FeatureStatus
) -> None:
    found = online(sent(Plant()), key, at_us=START + later_us, default=-1)
    assert (found.values[0, 0], found.status[0, 0], found.status[0, 1]) == (value, status, PRESENT)


def test_a_stale_value_keeps_its_age() -> None:
    assert online(sent(Plant()), "a", at_us=START + TTL_US, default=-1).ages_s[0, 0] == 7_200


def test_without_one_the_value_is_stale_as_before() -> None:
    found = online(sent(Plant()), "a", at_us=START + TTL_US, default=None)
    assert (np.isnan(found.values[0, 0]), found.status[0, 0]) == (True, STALE)


def test_it_stands_in_for_a_view_that_was_never_materialized() -> None:
    found = online(Plant(), "a", at_us=START, default=-1)
    assert (found.values[0, 0], found.status[0].tolist()) == (-1, [DEFAULT, MISSING])


def test_it_stands_in_when_the_store_cannot_be_read() -> None:
    reader = OnlineReader(Plant().stores.online, (plan_view(view(default=0.5)),))
    found = reader.unread(2)
    assert found.values[:, 0].tolist() == [0.5, 0.5]
    assert np.isnan(found.values[:, 1]).all()
    assert set(found.status.ravel().tolist()) == {UNREAD}


def test_it_stands_in_offline_at_the_same_moments() -> None:
    plant = sent(Plant())
    moments = [from_micros(START) + timedelta(microseconds=us) for us in (1, TTL_US - 1, TTL_US)]
    spine = pa.table({"machine": ["a"] * 3, "at": pa.array(moments, pa.timestamp("us", "UTC"))})
    plant.ship()
    rows = historical_features(plant.stores.tables, [view(default=-1)], spine=spine, at="at")
    assert rows.column("machines__amount_latest").to_pylist() == [3.0, 3.0, -1.0]


def test_another_default_asks_for_no_materialization() -> None:
    assert generation_of(view()).layout == generation_of(view(default=7, owner="sales")).layout


def test_nothing_is_touched_where_nothing_is_declared() -> None:
    values, status = np.array([[np.nan, np.nan, 1.0]], np.float32), np.full((1, 3), MISSING, np.uint8)
    Defaults([None, 2.0, 3.0]).stand_in(values, status)
    np.testing.assert_array_equal(values, [[np.nan, 2, 1]])
    assert status.tolist() == [[MISSING, DEFAULT, MISSING]]
