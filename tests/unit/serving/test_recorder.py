"""Keeping records of predictions."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.serving.predictors import FullDisk

from octavo.serving.metrics import PredictorMetrics
from octavo.serving.recorder import TOPIC, Recorder
from octavo.serving.records import BlockHead, PredictionBlock
from octavo.stores.log import LocalLog


def block(number: int = 1, **changes: Any) -> PredictionBlock:
    head = BlockHead("eta", "delay", 1, "sha256:0", "live", {"origin": 0}, {"distance": 1})
    fields: dict[str, Any] = {
        "head": msgspec.Raw(msgspec.msgpack.encode(head)),
        "at_us": 1,
        "ids": bytes([number]) * 16,
        "rows": [("JFK", 5.0)],
        "columns": None,
        "inputs": b"\0\0\x80?",
        "status": b"",
        "ages_s": b"",
        "outputs": np.array([2.5]).tobytes(),
        "latency_us": 300,
        "caller": "admin/1",
        "trace": "",
    }
    return PredictionBlock(**{**fields, **changes})


def kept(log: Any) -> list[PredictionBlock]:
    return [msgspec.msgpack.decode(payload, type=PredictionBlock) for _, payload in log.read(TOPIC, start=0)]


def test_records_come_back_as_they_were_given() -> None:
    log = FullDisk()
    given = [block(1), block(2, outputs=np.array([np.inf]).tobytes(), rows=[("é", 2**63 - 1)])]
    assert Recorder(log, PredictorMetrics()).record(given)
    assert [(one.ids, one.outputs, one.head) for one in kept(log)] == [(g.ids, g.outputs, g.head) for g in given]
    assert [one.rows for one in kept(log)] == [[["JFK", 5.0]], [["é", 2**63 - 1]]]


def test_records_survive_in_the_log_on_disk(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, sync=False, exclusive=True)
    Recorder(log, PredictorMetrics()).record([block(number) for number in range(3)])
    log.close()
    assert [one.ids[0] for one in kept(LocalLog(tmp_path, sync=False))] == [0, 1, 2]


def test_a_log_that_fails_loses_records_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    log, metrics = FullDisk(), PredictorMetrics()
    recorder = Recorder(log, metrics)
    log.is_full = True
    assert not recorder.record([block(1), block(2, outputs=bytes(16))])
    assert metrics.records_lost == 3
    assert "prediction records are lost" in caplog.text
    log.is_full = False
    assert recorder.record([block(3)])
    assert [one.ids[0] for one in kept(log)] == [3]
