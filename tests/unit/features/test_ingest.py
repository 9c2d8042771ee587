"""Events into the stream."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.plants import START, Plant, readings

from octavo.clock import from_micros
from octavo.errors import InvalidRequest, NotFound
from octavo.features.events import ingest
from octavo.features.events.ingest import ingest_file, ingest_rows, ingest_table

MOMENT = from_micros(START).isoformat()


def rows(n: int) -> list[dict[str, Any]]:
    return [{"number": number, "happened": MOMENT, "known": MOMENT, "machine": "a"} for number in range(n)]


def columns(n: int) -> pa.Table:
    moments = pa.array([START] * n, pa.timestamp("us", tz="UTC"))
    return pa.table({"number": range(n), "happened": moments, "known": moments})


def counted(plant: Plant) -> float:
    plant.apply()
    plant.wait(1)
    return float(plant.read(plant.now_us).values[0, 0])


def test_a_wrong_row_keeps_all_rows_out() -> None:
    plant = Plant()
    with pytest.raises(InvalidRequest):
        ingest_rows([*rows(2), {"number": 3}], readings, stream=plant.stores.stream, clock=plant.clock)
    assert plant.stores.stream.end("events.readings") == 0


def test_a_large_table_is_published_in_payloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ROWS_PER_PAYLOAD", 2)
    plant = Plant()
    accepted = ingest_table(columns(5), readings, stream=plant.stores.stream, clock=plant.clock)
    assert (accepted.rows, accepted.offset) == (5, 3)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_file_is_accepted_with_progress(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ROWS_PER_PAYLOAD", 2)
    path = tmp_path / f"readings.{kind}"
    if kind == "parquet":
        pq.write_table(columns(5).append_column("machine", pa.array(["a"] * 5)), path)
    else:
        path.write_text("\n".join(map(json.dumps, rows(5))) + "\n\n")
    plant, told = Plant(), []
    accepted = ingest_file(
        path, readings, stream=plant.stores.stream, clock=plant.clock, progress=lambda *step: told.append(step)
    )
    assert accepted.rows == 5
    assert counted(plant) == 5
    assert told[-1] == (1.0, "5 rows of readings")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)


def test_a_corrected_file_sent_again_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ROWS_PER_PAYLOAD", 2)
    plant, path = Plant(), tmp_path / "readings.jsonl"
    path.write_text("\n".join(map(json.dumps, [*rows(3), {"number": 9}])))
    with pytest.raises(InvalidRequest, match=r"rows\[3\]\.happened"):
        ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock)
    path.write_text("\n".join(map(json.dumps, rows(4))))
    ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock)
    assert counted(plant) == 4


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    plant, path = Plant(), tmp_path / "readings.jsonl"
    path.write_text(json.dumps(rows(1)[0]) + "\n{oops\n")
    with pytest.raises(InvalidRequest, match="line 2"):
        ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    plant, path = Plant(), tmp_path / "readings.parquet"
    path.write_bytes(b"PAR1 but not quite")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock)


def test_a_file_of_another_kind_or_that_is_absent_is_refused(tmp_path: Path) -> None:
    plant, path = Plant(), tmp_path / "readings.xlsx"
    with pytest.raises(NotFound):
        ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock)
    path.touch()
    with pytest.raises(InvalidRequest, match="no kind"):
        ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock)
