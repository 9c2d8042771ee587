"""Monitoring over the real stores of a project: Delta tables, SQLite and the log's files."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.monitoring.scenes import ETA, NOISE, START, Scene, draw

from octavo.monitoring.compare import compare
from octavo.monitoring.findings import Verdict
from octavo.monitoring.incidents import Incident
from octavo.monitoring.operations import ListPredictions, ShowMonitoring, ShowPrediction, ShowTraffic, operations
from octavo.operations import SYSTEM, Dispatcher
from octavo.stores.delta import DeltaTables
from octavo.stores.log import LocalLog
from octavo.stores.sql.metadata import SqlMetadata


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(home=tmp_path)
    metadata = SqlMetadata(f"sqlite:///{tmp_path}/metadata.db")
    tables, stream = DeltaTables(tmp_path / "tables"), LocalLog(tmp_path / "stream", sync=False)
    made.context = replace(made.context, stores=replace(made.stores, metadata=metadata, tables=tables, stream=stream))
    made.log = LocalLog(tmp_path / "predictor", sync=False)  # type: ignore[assignment]  # another stream of the same port
    yield made
    for store in (metadata, stream, made.log):
        store.close()


def test_a_deployment_drifts_recovers_and_is_shown(scene: Scene) -> None:
    version = scene.live()
    scene.mature(scene.predict(version, draw(scene.random, 300, mean=22)), noise=2 * NOISE)
    assert {f.kind for f in scene.look().findings if f.verdict is Verdict.UNHEALTHY} == {"drift", "performance"}
    scene.go(timedelta(days=2))
    ids = scene.predict(version, draw(scene.random, 300))
    scene.mature(ids)
    assert {f.verdict for f in scene.look().findings} == {Verdict.HEALTHY}
    with scene.stores.metadata.transaction() as tx:
        assert [(incident.is_open, len(incident.timeline)) for incident in tx.find(Incident)] == [(False, 2)] * 2
    door = Dispatcher(operations, scene.context)
    assert len(door.call(ShowMonitoring(deployment="eta"), SYSTEM).looks) == 2
    [newest] = door.call(ListPredictions(deployment="eta", limit=1), SYSTEM)
    assert door.call(ShowPrediction(prediction=newest.id), SYSTEM).summary == newest
    assert sum(hour.rows for hour in door.call(ShowTraffic(deployment="eta"), SYSTEM).hours) == 600
    assert compare(scene.context, ETA, version=1, since=START, until=scene.clock.now()).rows == 600


def test_before_there_is_any_table_nothing_is_judged(scene: Scene) -> None:
    scene.live()
    assert {f.verdict for f in scene.look().findings} == {Verdict.UNKNOWN}
