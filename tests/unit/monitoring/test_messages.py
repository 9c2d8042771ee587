"""Predictions as messages in JSON."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.monitoring.scenes import COUNT, INPUTS, LATEST, MEAN, Scene

from octavo.errors import Unavailable
from octavo.monitoring.messages import MessageWriter
from octavo.monitoring.prediction_log import SCHEMA, rows_of
from octavo.serving.records import PredictionRecord


def recorded(scene: Scene, **changes: Any) -> PredictionRecord:
    [record] = scene.records(scene.register(), np.array([[1.5, 2.0, np.nan, 3.0]]))
    return msgspec.structs.replace(record, **changes)


def message(scene: Scene, record: PredictionRecord) -> dict[str, Any]:
    [(key, value)] = MessageWriter(scene.stores).write(rows_of([(0, msgspec.msgpack.encode(record))]))
    found: dict[str, Any] = msgspec.json.decode(value)
    assert key == found["id"] == record.id
    return found


def test_it_has_the_columns_of_the_table_with_objects_by_name() -> None:
    scene = Scene()
    record = recorded(scene)
    found = message(scene, record)
    assert list(found) == SCHEMA.names
    assert (found["entities"], found["request"]) == (record.entities, record.request)
    assert found["inputs"] == dict(zip(INPUTS, (1.5, 2.0, None, 3.0), strict=True))
    assert found["at"].endswith("Z")


def test_only_what_is_not_present_has_a_status_and_only_what_has_an_age_an_age() -> None:
    scene = Scene()
    ages = np.array([60, np.nan, np.nan, np.nan], "<f4").tobytes()
    found = message(scene, recorded(scene, status=bytes([0, 3, 2, 0]), ages_s=ages))
    assert (found["status"], found["ages_s"]) == ({COUNT: "default", LATEST: "missing"}, {MEAN: 60.0})


@pytest.mark.parametrize("output", [np.nan, np.inf])
def test_what_is_no_number_in_json_is_null(output: float) -> None:
    scene = Scene()
    assert message(scene, recorded(scene, output=output))["output"] is None


def test_a_version_that_failed_early_has_no_inputs() -> None:
    scene = Scene()
    found = message(scene, recorded(scene, inputs=b"", status=b"", ages_s=b""))
    assert (found["inputs"], found["status"], found["ages_s"]) == ({}, {}, {})


def test_inputs_of_a_bundle_that_is_gone_are_named_by_their_places() -> None:
    scene = Scene()
    found = message(scene, recorded(scene, digest=f"sha256:{'0' * 64}"))
    assert found["inputs"] == {"0": 1.5, "1": 2.0, "2": None, "3": 3.0}
    assert found["status"] == {"2": "missing"}


def test_bundles_that_cannot_be_reached_now_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    record = recorded(scene)

    def away(_: str) -> bytes:
        raise Unavailable("away")

    monkeypatch.setattr(scene.stores.artifacts, "get", away)
    with pytest.raises(Unavailable):
        message(scene, record)
