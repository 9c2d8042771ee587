"""Keeping records of predictions."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.serving.predictors import FullDisk

from octavo.serving.metrics import PredictorMetrics
from octavo.serving.recorder import TOPIC, Recorder
from octavo.serving.records import PredictionRecord
from octavo.stores.log import LocalLog


def record(number: int = 1, **changes: Any) -> PredictionRecord:
    fields: dict[str, Any] = {
        "id": f"p{number}",
        "at_us": 1,
        "deployment": "eta",
        "model": "delay",
        "version": 1,
        "digest": "sha256:0",
        "arm": "live",
        "entities": {"origin": "JFK"},
        "request": {"distance": 5.0},
        "inputs": b"\0\0\x80?",
        "status": b"\0",
        "ages_s": b"\0\0\xc0\x7f",
        "output": 2.5,
        "latency_us": 300,
        "caller": "admin/1",
        "trace": "",
    }
    return PredictionRecord(**{**fields, **changes})


def kept(log: Any) -> list[PredictionRecord]:
    return [msgspec.msgpack.decode(payload, type=PredictionRecord) for _, payload in log.read(TOPIC, start=0)]


def test_records_come_back_as_they_were_given() -> None:
    log = FullDisk()
    given = [record(1), record(2, output=float("inf"), entities={"origin": "é", "plane": 2**63 - 1})]
    assert Recorder(log, PredictorMetrics()).record(given)
    assert kept(log) == given


def test_records_survive_in_the_log_on_disk(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, sync=False, exclusive=True)
    Recorder(log, PredictorMetrics()).record([record(number) for number in range(3)])
    log.close()
    assert [one.id for one in kept(LocalLog(tmp_path, sync=False))] == ["p0", "p1", "p2"]


def test_a_log_that_fails_loses_records_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    log, metrics = FullDisk(), PredictorMetrics()
    recorder = Recorder(log, metrics)
    log.is_full = True
    assert not recorder.record([record(1), record(2)])
    assert metrics.records_lost == 2
    assert "prediction records are lost" in caplog.text
    log.is_full = False
    assert recorder.record([record(3)])
    assert [one.id for one in kept(log)] == ["p3"]
