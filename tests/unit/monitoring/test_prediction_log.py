"""Records on their way from the predictor's log into the table."""

import math
import time

import msgspec
import numpy as np
import pytest
from tests.unit.monitoring.scenes import Scene, draw

from octavo.errors import IntegrityError
from octavo.monitoring.prediction_log import SCHEMA, ship_predictions
from octavo.serving.recorder import TOPIC


def test_nothing_is_shipped_from_an_empty_log() -> None:
    scene = Scene()
    assert ship_predictions(scene.log, scene.stores.tables) == 0
    assert scene.stores.tables.version("predictions") == -1


def test_a_record_comes_into_the_table_as_it_is() -> None:
    scene = Scene()
    version = scene.register()
    [record] = scene.records(version, draw(scene.random, 1))
    scene.publish([record])
    assert ship_predictions(scene.log, scene.stores.tables) == 1
    rows = scene.stores.tables.query("SELECT * FROM p", tables={"p": "predictions"})
    assert rows.schema.equals(SCHEMA)
    [row] = rows.to_pylist()
    assert msgspec.json.decode(row["entities"]) == record.entities
    assert msgspec.json.decode(row["request"]) == record.request
    assert int(row["at"].timestamp() * 1e6) == record.at_us
    same = (
        "id",
        "deployment",
        "model",
        "version",
        "digest",
        "arm",
        "inputs",
        "status",
        "ages_s",
        "output",
        "latency_us",
    )
    assert {name: row[name] for name in same} == {name: getattr(record, name) for name in same}


def test_an_output_that_is_no_number_is_kept_as_such() -> None:
    scene = Scene()
    scene.predict(scene.register(), draw(scene.random, 3), outputs=np.array([math.nan, math.inf, 1.0]))
    found = scene.stores.tables.query("SELECT output FROM p ORDER BY id", tables={"p": "predictions"})
    outputs = found.column("output").to_pylist()
    assert math.isnan(outputs[0])
    assert outputs[1:] == [math.inf, 1.0]


def test_each_call_ships_what_the_one_before_left() -> None:
    scene = Scene()
    scene.publish(scene.records(scene.register(), draw(scene.random, 10)))
    shipped = []
    while count := ship_predictions(scene.log, scene.stores.tables, max_bytes=1_000):
        shipped.append(count)
    assert sum(shipped) == 10
    assert len(shipped) > 1


def test_what_is_no_record_stops_the_shipping_with_its_place() -> None:
    scene = Scene()
    scene.log.publish(TOPIC, [b"\x01"])
    with pytest.raises(IntegrityError, match="record 0 of the prediction log"):
        ship_predictions(scene.log, scene.stores.tables)


def test_twenty_thousand_records_are_shipped_in_about_a_second() -> None:
    scene = Scene()
    scene.publish(scene.records(scene.register(), draw(scene.random, 20_000)))
    started = time.process_time()
    scene.ship()
    assert time.process_time() - started < 3
