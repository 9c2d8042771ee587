"""A composite in a predictor's process: a function of it that misbehaves, an end, and a start without the artifacts."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.serving.bundles import ROW
from tests.serving.composed import CODE, OFFER, publish_composite, publish_nodes
from tests.serving.processes import Connection, Load, Running, predictor, until
from tests.serving.projects import SETTINGS, ServingProject, make_project

LIMITS = 'code_timeout_ms = 1000\ncode_memory = "500 MB"\n'
HANGS, CRASHES, LEAKS = 13.0, 14.0, 15.0
FAULTY = CODE.replace(
    "def offer(far, wide, amount):",
    """def offer(far, wide, amount):
    import ctypes
    if amount[0] == 13:
        while True: pass
    if amount[0] == 14:
        ctypes.string_at(0)
    if amount[0] == 15:
        leaked = [np.ones(10_000_000) for _ in range(100)]""",
)


@pytest.fixture
def project(tmp_path: Path) -> ServingProject:
    made = make_project(tmp_path, settings=SETTINGS + LIMITS)
    publish_nodes(made)
    publish_composite(made, *OFFER, code=FAULTY)
    return made


def ask(running: Running, amount: float = 2.0) -> tuple[int, Any]:
    """The answer of the composite to one row."""
    with closing(Connection(running)) as connection:
        return connection.call([{**ROW, "amount": amount, "seats": 200}], path="/predict/deal")


def test_a_function_that_hangs_crashes_or_leaks_takes_only_its_own_composite_down(project: ServingProject) -> None:
    with predictor(project) as running, Load(running, [ROW], path="/predict/far") as neighbours:
        for amount, why in ((HANGS, "gave no answer within 1000 ms"), (CRASHES, "SIGSEGV"), (LEAKS, "code_memory")):
            until(lambda: ask(running)[0] == 200, what="it is not there")
            status, problem = ask(running, amount)
            assert (status, problem["code"]) == (503, "unavailable")
            assert "functions of composite 'deal' failed" in problem["detail"]
            assert why in problem["detail"]
        neighbours.wait_for(20)
    assert neighbours.broken == []
    assert {status for status, _ in neighbours.answers} == {200}


def test_without_the_artifacts_it_starts_and_answers_from_the_predictors_own_disk(project: ServingProject) -> None:
    with predictor(project) as running:
        before = ask(running)[1]["predictions"][0]["value"]
    shutil.rmtree(project.config.path(project.config.stores.artifacts))
    with predictor(project) as running:
        assert ask(running)[1]["predictions"][0]["value"] == before == 1400.0
        assert b'"composites":{"deal":{"version":1,"error":null}}' in running.get("/status")[1]
