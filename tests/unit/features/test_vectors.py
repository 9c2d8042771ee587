"""Columns of vectors: what is taken as one, and the features of its numbers."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.plants import START, Plant, machines, readings

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.features.events.decode import decode_rows, decode_table
from octavo.features.online.layout import layout_of
from octavo.features.online.reader import OnlineReader

AT = "2026-01-31T11:00:00Z"
NOW_US = 1_769_900_000_000_000
visits = oc.Source("visits", event_time="at", schema={"at": oc.Timestamp, "user": oc.String, "taste": oc.Vector(2)})
user = oc.Entity("user", key="user")


def rows(*tastes: Any) -> pa.RecordBatch:
    return decode_rows([{"at": AT, "user": "a", "taste": taste} for taste in tastes], visits, now_us=NOW_US)


def table(tastes: pa.Array) -> pa.RecordBatch:
    moments = pa.array([NOW_US] * len(tastes), pa.timestamp("us", tz="UTC"))
    return decode_table(pa.table({"at": moments, "taste": tastes}), visits, now_us=NOW_US)


def test_a_list_of_numbers_is_taken_as_a_vector() -> None:
    taken = rows([1, 2.5], None).column("taste")
    assert taken.type == pa.list_(pa.float64(), 2)
    assert taken.to_pylist() == [[1.0, 2.5], None]


@pytest.mark.parametrize("given", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.int64(), 2)])
def test_lists_of_numbers_of_any_width_are_taken_from_columns(given: pa.DataType) -> None:
    assert table(pa.array([[1, 2], None], given)).column("taste").to_pylist() == [[1.0, 2.0], None]


@pytest.mark.parametrize("taste", [[1.0], [1.0, 2.0, 3.0], [1.0, "2"], [1.0, None], [1.0, np.nan], [np.inf, 1.0], 1.0])
def test_what_is_no_vector_is_refused_with_its_place_and_what_to_send(taste: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        rows([0.0, 0.0], taste)
    assert (raised.value.field or "").startswith("rows[1].taste")
    assert raised.value.fix == "send a list of 2 finite numbers, or null"


@pytest.mark.parametrize(
    "tastes",
    [pa.array([[1.0, 2.0, 3.0]]), pa.array([["1", "2"]]), pa.array([1.0]), pa.array([[1.0, None]]), pa.array([[]])],
)
def test_a_column_of_what_is_no_vector_is_refused(tastes: pa.Array) -> None:
    with pytest.raises(InvalidRequest, match="taste"):
        table(tastes)


def test_an_event_is_the_same_however_its_vector_was_written() -> None:
    first, second = rows([1, -0.0], [1.0, 0.0]).column("_event_id").to_pylist()
    assert first == second


def test_a_vector_gives_a_feature_for_each_number() -> None:
    view = FeatureView(
        "tastes", entity=user, source=visits, features=[oc.latest("taste", ttl="7d"), oc.last("taste", over="1d")]
    )
    names = ["taste_latest_0", "taste_latest_1", "taste_last_1d_0", "taste_last_1d_1"]
    assert [feature.name for feature in view.features] == names


@pytest.mark.parametrize("aggregate", [oc.mean("taste", over="1h"), oc.distinct("taste", over="1h")])
def test_only_the_newest_vectors_are_features(aggregate: Any) -> None:
    with pytest.raises(InvalidDefinition, match="'taste'"):
        FeatureView("tastes", entity=user, source=visits, features=[aggregate])


@pytest.mark.parametrize("length", [0, 4_097, 2.0])
def test_a_vector_has_from_1_to_4096_numbers(length: Any) -> None:
    with pytest.raises(InvalidDefinition, match="from 1 to 4096"):
        oc.Vector(length)


def test_no_request_field_is_a_vector() -> None:
    with pytest.raises(InvalidDefinition, match="request field 'taste'"):
        oc.request("taste", oc.Vector(2))  # type: ignore[arg-type]  # what is tested


def test_a_state_keeps_a_vector_in_one_place_however_many_features_it_gives() -> None:
    layout = layout_of(
        oc.FeatureView("v", entity=user, source=visits, features=[oc.latest("taste", ttl="7d")]).features
    )
    assert layout.columns == ("taste",)
    assert [(kept.column, kept.length) for kept in layout.vectors] == [("taste", 2)]


def test_the_newest_vector_survives_the_fold_of_its_event() -> None:
    plant, reader = Plant(), OnlineReader
    shapes = FeatureView(
        "machines", entity=machines.entities[0], source=readings, features=[oc.latest("shape", ttl="9d")]
    )
    plant.restart(shapes)
    sent: dict[str, Any] = {"happened": START, "known": START, "machine": "a"}
    plant.send([{**sent, "number": 0, "shape": [1.0, 2.0, 3.0]}])
    plant.wait(10_000_000)
    plant.send(
        [{**sent, "number": number, "happened": START + number, "known": START + number} for number in range(1, 60)]
    )
    plant.apply()
    read = reader(plant.stores.online, (plan_view(shapes),)).read([{"machine": "a"}], at_us=plant.now_us)
    assert read.values[0].tolist() == [1.0, 2.0, 3.0]
