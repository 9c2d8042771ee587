"""A predictor of several workers on one port: killed one by one, counted together, shipped to the last record."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from octavo.config import load_config
from octavo.loop.predictor_logs import PredictorLogs
from octavo.monitoring.prediction_log import TABLE, ship_predictions, writer_of
from octavo.processes import find_running
from octavo.release.acknowledgement import acknowledgement
from octavo.stores.delta import DeltaTables
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import Connection, Load, Running, outcome, predictor, until
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest

WORKERS = 3


@pytest.fixture
def project(tmp_path: Path) -> ServingProject:
    made = make_project(tmp_path, settings=f"{SETTINGS}workers = {WORKERS}\n")
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    return made


@pytest.fixture
def running(project: ServingProject) -> Iterator[Running]:
    with predictor(project) as found:
        yield found
        if found.process.poll() is None:
            found.stop()


def pids(running: Running) -> dict[int, int]:
    """The processes of the workers."""
    found = {number: find_running(running.project.config.home, f"predictor-{number}") for number in range(WORKERS)}
    return {number: process.pid for number, process in found.items() if process}


def spread(running: Running, *, calls: int = 60) -> list[str]:
    """The ids of predictions that were asked for each on a connection of its own."""
    answers = [running.call([ROW]) for _ in range(calls)]
    assert {status for status, _ in answers} == {200}
    return [answer["predictions"][0]["id"] for _, answer in answers]


def ship(project: ServingProject) -> list[str]:
    """Bring all into a table; the ids that are in it."""
    tables = DeltaTables(project.config.path(project.config.stores.tables))
    logs = PredictorLogs(project.config.home)
    for number, log in logs.all().items():
        while ship_predictions(log, tables, writer=writer_of(number)):
            pass
    logs.close()
    found = tables.query("SELECT id FROM predictions", tables={"predictions": TABLE})
    ids: list[str] = found["id"].to_pylist()
    return ids


def test_they_share_the_port_and_each_prediction_is_shipped_once(running: Running, project: ServingProject) -> None:
    asked = spread(running)
    logs = [log.end("predictions") for log in PredictorLogs(project.config.home).all().values()]
    assert len(logs) == WORKERS
    assert sum(bool(end) for end in logs) > 1, "sixty connections do not all fall to one"
    assert sorted(ship(project)) == sorted(asked)
    asked += spread(running)
    assert sorted(ship(project)) == sorted(asked)


def test_one_that_is_killed_takes_only_its_own_connections_and_comes_back(running: Running) -> None:
    before = pids(running)
    with closing(Connection(running)) as kept:
        assert kept.call([ROW])[0] == 200
        os.kill(before[1], signal.SIGKILL)
        until(lambda: pids(running).get(1) not in (None, before[1]), what="the worker to be started again")
    assert {number: pid for number, pid in pids(running).items() if number != 1} == {0: before[0], 2: before[2]}
    spread(running)


def test_whichever_is_asked_tells_of_all(running: Running) -> None:
    spread(running)

    def counted() -> float:
        lines = running.get("/metrics")[1].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("octavo_predictions_total{"))

    until(lambda: counted() == 60, what="the counts of all workers")
    text = running.get("/metrics")[1].decode()
    assert all(f'octavo_predictor_requests_total{{worker="{number}"' in text for number in range(WORKERS)), text
    status = json.loads(running.get("/status")[1])
    assert {status["pid"], *(one["pid"] for one in status["fellows"])} == set(pids(running).values())


def test_a_manifest_counts_as_applied_once_all_serve_by_it(running: Running, project: ServingProject) -> None:
    digest = publish_bundle(project.artifacts, bias=2.0)
    os.kill(pids(running)[2], signal.SIGSTOP)
    project.publish(manifest(arm(digest, version=2), sequence=2))
    status = project.config.home / "predictor" / "status.json"
    until(lambda: b'"sequence":2' in status.read_bytes(), what="one worker to apply it")
    assert not acknowledgement(project.config, "eta", sequence=2).is_applied
    os.kill(pids(running)[2], signal.SIGCONT)
    until(lambda: acknowledgement(project.config, "eta", sequence=2).is_applied, what="all to apply it")


def test_told_to_stop_all_end_and_answer_what_is_under_way(running: Running, project: ServingProject) -> None:
    workers = pids(running)
    with Load(running, [ROW] * 500, callers=4) as load:
        load.wait_for(20)
        assert running.stop() == 0
    assert {status for status, _ in load.answers} == {200}
    assert find_running(project.config.home, "predictor") is None
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers.values())


def test_a_parent_that_is_killed_takes_its_workers_along(running: Running) -> None:
    workers = pids(running)
    running.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers.values()), what="the workers to end")


def test_a_port_that_another_has_is_not_shared_with_him(running: Running, project: ServingProject) -> None:
    code, complaint = outcome(project.config.root, OCTAVO_PREDICTOR_PORT=str(running.port))
    assert (code, "cannot listen on" in complaint) == (1, True)


@pytest.mark.parametrize("workers", ["0", "-1", "some"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(project: ServingProject, workers: str) -> None:
    code, complaint = outcome(project.config.root, OCTAVO_PREDICTOR_WORKERS=workers)
    assert code == 1
    assert "[predictor]" in complaint


def test_one_per_core_may_be_asked_for(project: ServingProject) -> None:
    assert load_config(project.config.root, {"OCTAVO_PREDICTOR_WORKERS": "cores"}).predictor.workers == "cores"
