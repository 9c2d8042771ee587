"""A predictor whose versions travel with functions that hang, crash or do not load: everybody else is answered."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from octavo.features.online.keys import generation_of, pointer_key
from octavo.stores.lmdb import LmdbOnlineStore
from tests.serving.bundles import CALIBRATED, CODE, PLAN_WITH_ANSWER, ROW, publish_bundle
from tests.serving.predictors import origins
from tests.serving.processes import Load, Running, predictor, until
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest

BAD = "bad"
HANGS, CRASHES = "2099-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
FAULTY = CODE.replace(
    "    return",
    """    import ctypes
    if str(sched_dep[0]).startswith("2099"):
        while True: pass
    if str(sched_dep[0]).startswith("2100"):
        ctypes.string_at(0)
    return""",
)


@pytest.fixture
def project(tmp_path: Path) -> ServingProject:
    """A project with a good deployment, and empty features."""
    made = make_project(tmp_path, settings=SETTINGS + "code_timeout_ms = 1000\n")
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    store = LmdbOnlineStore(made.config.path(made.config.stores.online))
    generation = generation_of(origins)
    store.write({pointer_key("origin_delays"): generation.encode()}, marks={generation.applied_mark: 0})
    store.close()
    return made


def ask(running: Running, deployment: str, **changes: Any) -> tuple[int, Any]:
    """The answer of a deployment to one row."""
    headers = {"authorization": f"Bearer {running.project.token}", "content-type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)) as connection:
        body = json.dumps({"rows": [{**ROW, **changes}]})
        connection.request("POST", f"/predict/{deployment}", body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


@pytest.mark.parametrize(("at", "why"), [(HANGS, "gave no answer within 1000 ms"), (CRASHES, "was ended by SIGSEGV")])
def test_a_live_version_that_hangs_or_crashes_says_so_and_its_neighbours_answer(
    project: ServingProject, at: str, why: str
) -> None:
    project.publish(manifest(arm(publish_bundle(project.artifacts, code=FAULTY)), deployment=BAD))
    with predictor(project) as running, Load(running, [ROW]) as load:
        assert ask(running, BAD)[0] == 200
        status, answer = ask(running, BAD, sched_dep=at)
        assert (status, answer["code"]) == (503, "unavailable")
        assert f"functions of model 'arrival_delay' failed: their process {why}" in answer["detail"]
        until(lambda: ask(running, BAD)[0] == 200, what="it is not started again")
        load.wait_for(20)
        assert b"octavo_functions_restarts_total{of=\"model 'arrival_delay'\"" in running.get("/metrics")[1]
    assert not load.broken
    assert {status for status, _ in load.answers} == {200}


def test_rows_of_a_canary_that_crashes_are_answered_by_the_live_version(project: ServingProject) -> None:
    live = arm(publish_bundle(project.artifacts), percent=0)
    canary = arm(publish_bundle(project.artifacts, code=FAULTY), role="canary", version=2, percent=100)
    project.publish(manifest(live, canary, deployment=BAD))
    with predictor(project) as running:
        assert ask(running, BAD)[1]["predictions"][0]["version"] == 2
        status, answer = ask(running, BAD, sched_dep=CRASHES)
        assert (status, answer["predictions"][0]["version"]) == (200, 1)


def test_a_version_whose_code_takes_its_process_down_is_refused_and_the_last_goes_on(project: ServingProject) -> None:
    with predictor(project) as running:
        bundle = publish_bundle(project.artifacts, code=CODE + "\nimport os\nos._exit(7)\n")
        project.publish(manifest(arm(bundle, version=2), sequence=2))
        until(lambda: b"its process ended with 7" in running.get("/status")[1], what="it is not refused")
        status, answer = running.call([ROW])
        assert (status, answer["predictions"][0]["version"]) == (200, 1)


STUBBORN = CODE + CALIBRATED.replace(
    "    return",
    """    if (distance == 13.0).any():
        while True: pass
    if (distance == 14.0).any():
        raise KeyError("unlucky")
    if (distance == 15.0).any():
        import ctypes
        ctypes.string_at(0)
    return""",
)
WEIGHTS = [0.0, 0.0, 0.0, 1.0, -1.0]


def test_what_comes_after_a_model_answers_and_costs_only_its_own_version_an_answer(project: ServingProject) -> None:
    stubborn = publish_bundle(project.artifacts, plan=PLAN_WITH_ANSWER, code=STUBBORN, weights=WEIGHTS)
    project.publish(manifest(arm(stubborn), deployment=BAD))
    with predictor(project) as running, Load(running, [ROW]) as load:
        status, answer = ask(running, BAD, distance=500.0, seats=100)
        assert (status, answer["predictions"][0]["value"]) == (200, 450.0)
        status, answer = ask(running, BAD, distance=14.0)
        assert (status, answer["code"]) == (500, "prediction_failed")
        status, answer = ask(running, BAD, distance=13.0)
        assert (status, answer["code"]) == (503, "unavailable")
        assert "gave no answer within 1000 ms" in answer["detail"]
        until(lambda: ask(running, BAD, distance=500.0, seats=100)[0] == 200, what="it is not started again")
        load.wait_for(20)
        good = publish_bundle(project.artifacts, plan=PLAN_WITH_ANSWER, code=CODE + CALIBRATED, weights=WEIGHTS)
        arms = (arm(good, percent=0), arm(stubborn, role="canary", version=2, percent=100))
        project.publish(manifest(*arms, deployment=BAD, sequence=2))
        until(lambda: ask(running, BAD)[1]["predictions"][0]["version"] == 2, what="the canary does not answer")
        status, answer = ask(running, BAD, distance=15.0, seats=0)
        assert (status, answer["predictions"][0]["version"]) == (200, 1)
        assert answer["predictions"][0]["value"] == pytest.approx(16.5)
        wrong = publish_bundle(project.artifacts, plan=PLAN_WITH_ANSWER, code=CODE + CALIBRATED, answers=[9.9])
        project.publish(manifest(arm(wrong, version=3), deployment=BAD, sequence=3))
        until(lambda: b"for golden row 0 instead of 9.9" in running.get("/status")[1], what="it is not refused")
        until(lambda: ask(running, BAD)[1]["predictions"][0]["version"] == 2, what="the canary is gone")
    assert not load.broken
    assert {status for status, _ in load.answers} == {200}
