from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import octavo as oc
from octavo.clock import from_micros, to_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.models import Model
from octavo.errors import NotFound
from octavo.features.datasets.training_sets import TrainingSet, build_training_set
from octavo.features.events.payloads import table_schema
from octavo.stores.delta import DeltaTables
from octavo.stores.memory import MemoryTables
from octavo.stores.ports import Tables

Array = npt.NDArray[Any]
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)

trips = oc.Source(
    "trips",
    event_time="ended",
    available_at="reported",
    schema={
        "ended": oc.Timestamp,
        "reported": oc.Timestamp,
        "booked": oc.Timestamp,
        "driver": oc.String,
        "distance": oc.Float64,
        "riders": oc.Int64,
        "delay": oc.Float64,
    },
)
driver = oc.Entity("driver", key="driver")
recent = FeatureView("recent", entity=driver, source=trips, features=[oc.mean("delay", over="2d"), oc.count(over="2d")])


@oc.on_demand
def booked_hour(booked: Array) -> Array:
    hours: Array = (booked - booked.astype("datetime64[D]")).astype("timedelta64[h]").astype(float)
    return hours


@oc.on_demand
def known_drivers(driver: Array, riders: Array) -> Array:
    known: Array = np.array([value is not None for value in driver]) + 0 * riders
    return known


def declare(*, above: float | None = None, history: str | None = None) -> Model:
    @oc.model(
        features=[
            recent,
            booked_hour,
            known_drivers,
            oc.request("booked", oc.Timestamp),
            oc.request("driver", oc.String),
            oc.request("distance", oc.Float64),
            oc.request("riders", oc.Int64),
        ],
        label=oc.Label(trips, "delay", at="booked", above=above),
        metrics=["mae"],
        holdout="2d",
        history=history,
    )
    def trip_delay(train: oc.Dataset) -> None:
        raise AssertionError("not trained here")

    return trip_delay


def trip(days_before: float, **more: Any) -> dict[str, Any]:
    """A trip booked some days before `AS_OF`, ended an hour later, reported then."""
    booked = AS_OF - timedelta(days=days_before)
    ended = booked + timedelta(hours=1)
    row = {
        "booked": booked,
        "ended": ended,
        "reported": ended,
        "driver": "ann",
        "distance": 3.5,
        "riders": 2,
        "delay": 4.0,
    }
    return row | more


def stored(rows: Sequence[dict[str, Any]], *, tables: Tables | None = None) -> Tables:
    tables = tables or MemoryTables()
    tables.ensure("events/trips", table_schema(trips))
    events = [row | {"_event_id": place.to_bytes(16, "big")} for place, row in enumerate(rows)]
    tables.append("events/trips", pa.Table.from_pylist(events, schema=table_schema(trips)), writer="test", sequence=1)
    return tables


def build(*rows: dict[str, Any], model: Model | None = None, as_of: datetime = AS_OF) -> TrainingSet:
    return build_training_set(stored(rows), model or declare(), as_of=as_of)


def test_rows_are_ordered_by_decision_and_cut_in_time() -> None:
    made = build(trip(1, delay=3.0), trip(5, delay=1.0), trip(3, delay=2.0))
    assert made.train.y.tolist() == [1.0, 2.0]
    assert made.holdout.y.tolist() == [3.0]
    assert made.holdout_from == AS_OF - 2 * DAY
    assert made.train.times.tolist() == [(AS_OF - 5 * DAY).replace(tzinfo=None), (AS_OF - 3 * DAY).replace(tzinfo=None)]


def test_a_label_known_only_in_the_held_out_stretch_is_not_trained_on() -> None:
    border = AS_OF - 2 * DAY
    made = build(trip(3, reported=border, delay=1.0), trip(3, reported=border - timedelta(microseconds=1), delay=2.0))
    assert made.train.y.tolist() == [2.0]
    assert made.unripe == 1


def test_a_decision_at_the_border_is_held_out() -> None:
    assert build(trip(2)).holdout.times.tolist() == [(AS_OF - 2 * DAY).replace(tzinfo=None)]


def test_a_label_not_known_before_the_moment_is_not_used() -> None:
    made = build(trip(1, reported=AS_OF), trip(1, reported=AS_OF - timedelta(microseconds=1), delay=9.0))
    assert made.holdout.y.tolist() == [9.0]


def test_a_row_without_label_or_known_before_its_decision_is_no_case() -> None:
    early = AS_OF - 4 * DAY
    made = build(trip(3, delay=None), trip(3, booked=None), trip(3, ended=early, reported=early))
    assert (len(made.train), len(made.holdout)) == (0, 0)
    assert made.train.X.shape == (0, 6)


def test_history_bounds_how_old_a_row_may_be() -> None:
    made = build(trip(6), trip(4.5, delay=5.0), trip(1), model=declare(history="5d"))
    assert made.train.y.tolist() == [5.0]


def test_the_matrix_holds_views_functions_and_numeric_fields_in_order() -> None:
    made = build(trip(4, delay=7.0), trip(3, distance=0.1), trip(1, driver=None, riders=None))
    assert made.train.columns == declare().input_names
    np.testing.assert_array_equal(made.train.X[0], [np.nan, 0.0, 0.0, 1.0, 3.5, 2.0])
    np.testing.assert_array_equal(made.train.X[1], [7.0, 1.0, 0.0, 1.0, np.float64(np.float32(0.1)), 2.0])
    np.testing.assert_array_equal(made.holdout.X[0], [np.nan, 0.0, 0.0, np.nan, 3.5, np.nan])


def test_a_threshold_makes_a_binary_label() -> None:
    made = build(trip(4, delay=15.0), trip(3, delay=15.1), model=declare(above=15))
    assert made.train.y.tolist() == [0.0, 1.0]


def test_a_digest_depends_on_the_content_alone() -> None:
    rows = [trip(5), trip(4, delay=None, distance=None), trip(3), trip(1)]
    again = build(*rows, as_of=AS_OF).digest
    assert build(*rows).digest == again
    assert build(*[*rows[:-1], trip(1, delay=4.5)]).digest != again
    assert build(*[*rows[:-1], trip(1, distance=3.25)]).digest != again
    assert len(again) == len("sha256:") + 64


def test_later_events_change_nothing() -> None:
    rows = [trip(days) for days in (6, 5, 4, 1)]
    later = [trip(-1), trip(3, reported=AS_OF + DAY, delay=1e6), trip(0.5, reported=AS_OF, delay=1e6)]
    assert build(*rows, *later).digest == build(*rows).digest


def test_the_versions_of_the_tables_that_were_read_are_kept() -> None:
    assert build(trip(1)).table_versions == {"events/trips": 1}


def test_a_source_that_never_had_an_event_is_not_found() -> None:
    with pytest.raises(NotFound, match="events/trips"):
        build_training_set(MemoryTables(), declare(), as_of=AS_OF)


def test_delta_tables_give_the_same_training_set(tmp_path: Path) -> None:
    rows = [trip(days, driver=name, delay=days * 0.7) for days in np.arange(0.2, 9, 0.1) for name in ("ann", "bob")]
    in_memory = build_training_set(stored(rows), declare(), as_of=AS_OF)
    on_disk = build_training_set(stored(rows, tables=DeltaTables(tmp_path)), declare(), as_of=AS_OF)
    assert len(in_memory.train) > 100
    assert on_disk.digest == in_memory.digest


def test_features_of_a_row_use_only_what_was_known_at_its_decision() -> None:
    rows = [trip(5, delay=1.0), trip(4.5, delay=100.0, reported=AS_OF - 4 * DAY), trip(4, delay=2.0)]
    made = build(*rows)
    at_four_days = made.train.times == np.datetime64(to_micros(AS_OF - 4 * DAY), "us")
    assert made.train.X[at_four_days, 0].tolist() == [1.0]
    assert from_micros(int(made.train.times[-1].astype(np.int64))) == AS_OF - 4 * DAY
