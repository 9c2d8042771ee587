"""Predictions that are answered later, by predictors that are killed, and by several workers."""

import json
import os
import signal
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from octavo.client import Client
from octavo.errors import InvalidRequest, NotFound
from octavo.monitoring.prediction_log import rows_of
from octavo.processes import find_running
from octavo.serving.fellows import log_folders
from octavo.serving.recorder import TOPIC
from octavo.stores.log import LocalLog
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import Running, predictor, until
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest

LATER = "/predictions/eta"


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> ServingProject:
    made = make_project(tmp_path, settings=f"{SETTINGS}workers = {getattr(request, 'param', 1)}\n")
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    return made


def call(running: Running, method: str, path: str, *, rows: int = 0, **headers: str) -> tuple[int, Any]:
    """Ask on a connection of its own."""
    body = json.dumps({"rows": [ROW] * rows}) if rows else None
    named = {"authorization": f"Bearer {running.project.token}", "content-type": "application/json", **headers}
    with closing(HTTPConnection("127.0.0.1", running.port, timeout=30)) as connection:
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


def submit(running: Running, *, rows: int = 2, **headers: str) -> str:
    status, document = call(running, "POST", LATER, rows=rows, **headers)
    assert status == 202, document
    return f"{LATER}/{document['id']}"


def answers(running: Running, places: list[str]) -> list[str]:
    """The ids of the predictions at all places, once they are answered."""
    found: dict[str, list[str]] = {}

    def answered() -> bool:
        for place in places:
            if place not in found:
                status, document = call(running, "GET", place)
                assert status in (200, 202), document
                if status == 200:
                    found[place] = [one["id"] for one in document["predictions"]]
        return len(found) == len(places)

    until(answered, what="all are answered")
    return [one for place in places for one in found[place]]


def recorded(project: ServingProject) -> list[str]:
    """The ids of all predictions in the logs of all workers."""
    ids: list[str] = []
    for folder in log_folders(project.config.home).values():
        with closing(LocalLog(folder, sync=False)) as log:
            payloads = log.read(TOPIC, start=0, max_bytes=10**9)
            ids += rows_of(payloads).column("id").to_pylist() if payloads else []
    return ids


def test_what_was_accepted_is_answered_by_the_process_after_the_one_that_was_killed(project: ServingProject) -> None:
    with predictor(project) as running:
        places = [submit(running) for _ in range(3)]
        running.kill()
    with predictor(project) as running:
        assert sorted(answers(running, places)) == sorted(recorded(project))


def test_killed_in_the_midst_each_is_answered_and_recorded_once(project: ServingProject) -> None:
    places: list[str] = []
    for _ in range(4):
        with predictor(project) as running:
            places += [submit(running, rows=rows) for rows in (1, 900, 900, 5)]
            running.kill()
    with predictor(project) as running:
        ids = answers(running, places)
        assert sorted(ids) == sorted(recorded(project))
        assert len(set(ids)) == len(ids) == 4 * 1806


def test_an_answer_outlives_the_process_that_gave_it(project: ServingProject) -> None:
    with predictor(project) as running:
        place = submit(running)
        before = answers(running, [place])
        assert running.stop() == 0
    with predictor(project) as running:
        assert answers(running, [place]) == before == recorded(project)


@pytest.mark.parametrize("project", [3], indirect=True)
def test_an_answer_is_found_at_every_worker(project: ServingProject) -> None:
    with predictor(project) as running:
        places = [submit(running, **{"idempotency-key": f"k-{number // 2}"}) for number in range(40)]
        assert len(set(places)) == 20
        ids = answers(running, sorted(set(places)))
        assert {call(running, "GET", place)[0] for place in places for _ in range(3)} == {200}
        assert sorted(ids) == sorted(recorded(project))
        running.stop()


@pytest.mark.parametrize("project", [2], indirect=True)
def test_a_worker_that_is_killed_leaves_nothing_unanswered(project: ServingProject) -> None:
    with predictor(project) as running:
        places = [submit(running, rows=900) for _ in range(20)]
        for number in range(2):
            found = find_running(project.config.home, f"predictor-{number}")
            assert found is not None
            os.kill(found.pid, signal.SIGKILL)
        until(lambda: _is_back(running), what="a worker is there again")
        assert sorted(answers(running, places)) == sorted(recorded(project))
        running.stop()


def _is_back(running: Running) -> bool:
    try:
        return call(running, "GET", "/livez")[0] == 200
    except OSError:
        return False


def test_the_client_waits_for_an_answer_and_cancels_what_it_does_not_want(project: ServingProject) -> None:
    with predictor(project) as running, closing(client_of(running)) as client:
        job = client.predict_later("eta", [ROW, ROW], values=True)
        answer = client.fetch("eta", job)
        assert [set(one["values"]) >= {"distance"} for one in answer["predictions"]] == [True, True]
        client.cancel("eta", job)
        with pytest.raises(NotFound):
            client.fetch("eta", job)


def test_the_client_raises_what_predict_would_have_raised(project: ServingProject) -> None:
    with predictor(project) as running, closing(client_of(running)) as client:
        job = client.predict_later("eta", [{**ROW, "seats": "many"}])
        with pytest.raises(InvalidRequest, match="expected 'int"):
            client.fetch("eta", job)
        with pytest.raises(InvalidRequest, match="callbacks allows"):
            client.predict_later("eta", [ROW], callback="https://a.example/")


def client_of(running: Running) -> Client:
    url = f"http://127.0.0.1:{running.port}"
    return Client(url, url, token=running.project.token)
