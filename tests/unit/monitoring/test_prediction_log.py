"""Records on their way from the predictor's log into the table."""

import math
import time

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.scenes import Scene, draw

from octavo.errors import IntegrityError
from octavo.monitoring.prediction_log import SCHEMA, rows_of, ship_predictions
from octavo.serving.recorder import TOPIC
from octavo.serving.records import BlockColumn, BlockHead, PredictionBlock


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


def test_blocks_become_rows_among_records_of_before() -> None:
    scene = Scene()
    [record] = scene.records(scene.register(), draw(scene.random, 1))
    head = BlockHead("eta", "delay", 3, "sha256:0", "canary", {"origin": 1}, {"distance": 0, "seats": 2})
    columns = [BlockColumn("input", b"", [], 1), BlockColumn("words", bytes([1, 0]), ["JFK", None]), None]
    block = PredictionBlock(
        head=msgspec.Raw(msgspec.msgpack.encode(head)),
        at_us=5,
        ids=bytes(range(32)),
        rows=None,
        columns=columns,
        inputs=np.array([[1, 2], [3, 4]], np.float32).tobytes(),
        status=b"",
        ages_s=b"",
        outputs=np.array([7.0, np.inf]).tobytes(),
        latency_us=9,
        caller="ann/1",
        trace="",
        propensity=[0.25, 0.75],
        group="a",
    )
    payloads = [(place, msgspec.msgpack.encode(one)) for place, one in enumerate((record, block, record))]
    old, first, second, _ = rows_of(payloads).to_pylist()
    assert (old["id"], old["propensity"], old["group"]) == (record.id, None, None)
    assert [(one["entities"], one["request"]) for one in (first, second)] == [
        ("{}", '{"distance":2.0,"seats":null}'),
        ('{"origin":"JFK"}', '{"distance":4.0,"seats":null}'),
    ]
    assert (first["id"], first["arm"], first["version"]) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", "canary", 3)
    assert (first["status"], np.isnan(np.frombuffer(first["ages_s"], np.float32)).tolist()) == (b"\0\0", [True, True])
    assert (second["output"], second["propensity"], second["group"]) == (math.inf, 0.75, "a")


def test_a_table_of_before_gains_columns_with_the_next_records() -> None:
    scene = Scene()
    before = pa.schema([field for field in SCHEMA if field.name not in ("propensity", "group")])
    scene.stores.tables.ensure("predictions", before)
    scene.publish(scene.records(scene.register(), draw(scene.random, 2)))
    assert ship_predictions(scene.log, scene.stores.tables) == 2
    found = scene.stores.tables.query("SELECT * FROM p", tables={"p": "predictions"})
    assert sorted(found.column_names) == sorted(SCHEMA.names)


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
