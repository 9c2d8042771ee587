"""Events over HTTP: JSON, Arrow and Parquet, strict or keeping what is wrong."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.showrooms import NOW, Showroom, empty_showroom
from tests.showrooms.doors import Door, api

from octavo.features.events import bodies

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
LANDED = NOW - timedelta(hours=1)
ROW = {"flight": "B6 1", "origin": "JFK", "tailnum": "N1", "landed_at": LANDED.isoformat(), "arr_delay": 3.0}


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return empty_showroom(tmp_path)


@pytest.fixture
def door(room: Showroom) -> Door:
    return api(room)


def send(door: Door, body: bytes, kind: str = "application/json", bad: str = "") -> httpx.Response:
    return door.post(f"/events/landings{bad and f'?bad={bad}'}", content=body, headers={"content-type": kind})


def refusal(answer: httpx.Response, status: int = 422) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    return problem


def landings(n: int = 2, **columns: Any) -> pa.Table:
    times = pa.array([LANDED] * n, pa.timestamp("us", tz="UTC"))
    given = {"flight": pa.array([f"B6 {row}" for row in range(n)]), "landed_at": times, **columns}
    return pa.table({name: column for name, column in given.items() if column is not None})


def ipc(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("body", [{"rows": [ROW]}, [ROW], ROW])
@pytest.mark.parametrize("bad", ["", "refuse", "keep"])
def test_one_event_or_several_are_taken(door: Door, body: object, bad: str) -> None:
    answer = send(door, json.dumps(body, indent=2).encode(), bad=bad).json()
    assert (answer["rows"], answer["bad"]) == (1, 0)


@pytest.mark.parametrize(("write", "kind"), [(ipc, ARROW), (parquet, PARQUET)])
@pytest.mark.parametrize("bad", ["", "keep"])
def test_columns_are_taken(door: Door, write: Callable[[pa.Table], bytes], kind: str, bad: str) -> None:
    answer = send(door, write(landings(3, arr_delay=pa.array([1, None, 3], pa.int32()))), kind, bad=bad)
    assert answer.json()["rows"] == 3


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_columns_are_taken(door: Door, compression: str) -> None:
    table = landings(1_000, origin=pa.array(["JFK"] * 1_000).dictionary_encode())
    assert send(door, ipc(table, compression=compression), ARROW).json()["rows"] == 1_000


def test_dictionaries_that_grow_are_taken(door: Door) -> None:
    batches = [
        landings(2, origin=pa.DictionaryArray.from_arrays([0, n], pa.array(["JFK", "LGA", "EWR"][: n + 1])))
        for n in (1, 2)
    ]
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_table(batch)
    assert send(door, sink.getvalue().to_pybytes(), ARROW).json()["rows"] == 4


def test_wrong_rows_are_kept_if_that_is_wished_and_the_others_are_taken(room: Showroom, door: Door) -> None:
    wrong = b'{"flight": 7, "landed_at": "' + LANDED.isoformat().encode() + b'"}'
    body = b'{"rows": [' + json.dumps(ROW).encode() + b", " + wrong + b', 5, {"flight": "\xff"}]}'
    answer = send(door, body, bad="keep").json()
    assert (answer["rows"], answer["bad"], [row["row"] for row in answer["kept"]]) == (1, 3, [1, 2, 3])
    found = door.post("/api/events.dead", json={"source": "landings"}).json()
    assert found["waiting"] == {"landings": 3}
    assert {row["letter"] for row in answer["kept"]} == {letter["id"] for letter in found["letters"]}
    assert wrong.decode() in [letter["event"] for letter in found["letters"]]
    assert room.stores.stream.end("dead.landings") == 1


def test_dead_letters_are_replayed_and_discarded_and_both_are_audited(room: Showroom, door: Door) -> None:
    send(door, b'[{"flight": 7}, {"flight": 8}]', bad="keep")
    assert door.post("/api/events.replay", json={"source": "landings"}).json()["refused"] == 2
    done = door.post("/api/events.discard", json={"source": "landings", "reason": "a test"}).json()
    assert done == {"source": "landings", "discarded": 2}
    with room.stores.metadata.transaction() as tx:
        assert [event.operation for event in tx.audit()] == ["events.discard", "events.replay"]


@pytest.mark.parametrize("bad", ["", "keep"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"rows", "application/json"),
        (b'{"rows": ', "application/json"),
        (b'{"rows": 5}', "application/json"),
        (b'{"rows": []}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"5", "application/json"),
        (b"", ARROW),
        (b"hello", ARROW),
        (ipc(landings())[:-200], ARROW),
        (b"hello", PARQUET),
        (parquet(landings())[:-20], PARQUET),
        (b"PAR1" * 3, PARQUET),
        (b"a,b\n1,2", "application/vnd.ms-excel"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_a_fix(door: Door, body: bytes, kind: str, bad: str) -> None:
    problem = refusal(send(door, body, kind, bad=bad))
    assert problem["fix"]
    assert door.post("/api/events.dead", json={}).json()["letters"] == []


@pytest.mark.parametrize("query", ["bad=yes", "worse=keep"])
def test_a_wrong_query_is_refused(door: Door, query: str) -> None:
    assert "bad=keep" in refusal(door.post(f"/events/landings?{query}", json=ROW))["fix"]


def test_a_source_that_is_not_there_is_named(door: Door) -> None:
    problem = refusal(door.post("/events/landing", content=ipc(landings()), headers={"content-type": ARROW}), 404)
    assert "did you mean 'landings'?" in problem["detail"]


def test_a_wrong_column_or_row_of_a_table_is_named(door: Door) -> None:
    assert refusal(send(door, ipc(landings(dealy=pa.array([1, 2]))), ARROW))["field"] == "dealy"
    assert refusal(send(door, ipc(landings(arr_delay=pa.array(["1", "2"]))), ARROW))["field"] == "arr_delay"
    assert refusal(send(door, ipc(landings(arr_delay=pa.array([1, np.nan]))), ARROW))["field"] == "rows[1].arr_delay"


def test_a_stream_that_decompresses_to_too_much_is_refused_before_it_does(door: Door) -> None:
    table = landings(2, arr_delay=pa.array([0.0] * 2))
    body = bytearray(ipc(pa.concat_tables([table] * 500).combine_chunks(), compression="zstd"))
    honest = (1_000 * 8).to_bytes(8, "little")
    assert honest in body
    body[:] = body.replace(honest, (2**45).to_bytes(8, "little"))
    assert "decompressed" in refusal(send(door, bytes(body), ARROW), 413)["detail"]


def test_a_stream_with_more_rows_than_it_may_have_is_refused_whatever_it_holds(door: Door) -> None:
    nothing = pa.RecordBatch.from_arrays([pa.nulls(bodies.MOST_ROWS + 1)], names=["origin"])
    assert "rows" in refusal(send(door, ipc(pa.Table.from_batches([nothing])), ARROW), 413)["detail"]


@pytest.mark.parametrize(("write", "kind"), [(ipc, ARROW), (parquet, PARQUET)])
def test_one_value_that_many_rows_share_counts_for_each(
    door: Door, write: Callable[[pa.Table], bytes], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 1_000_000)
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["x" * 1_000]))
    assert "bytes of values" in refusal(send(door, write(landings(2_000, origin=shared)), kind), 413)["detail"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"a": 1}, {"a": 2}]),
        pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["x"])),
        pa.array([[[1]], [[2]]]),
    ],
)
def test_columns_of_nested_types_are_refused(door: Door, column: pa.Array) -> None:
    assert refusal(send(door, ipc(landings(origin=column)), ARROW))["field"] == "origin"


def test_text_that_is_no_utf8_and_offsets_that_lead_astray_are_refused(door: Door) -> None:
    bad_text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    astray = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 900, 2], np.int32)), pa.py_buffer(b"ab")]
    )
    for column in (bad_text, astray):
        refusal(send(door, ipc(landings(origin=column)), ARROW))
