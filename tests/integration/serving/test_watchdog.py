"""A model that computes for ever takes its worker with it and nothing else, and is named."""

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import isnan
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from octavo.monitoring.prediction_log import rows_of
from octavo.processes import find_running
from octavo.registry.bundles import ONNX, PLAN, digest_of
from octavo.release.acknowledgement import complaints
from octavo.serving.recorder import TOPIC
from octavo.serving.watchdog import STUCK
from octavo.stores.log import LocalLog
from octavo.stores.ports import Artifacts
from tests.serving.bundles import MODEL, PLAN_SENT, ROW, SCHEMAS, bundle_files, linear_model, pack, publish_bundle
from tests.serving.processes import Running, predictor, until
from tests.serving.projects import SETTINGS, arm, make_project, manifest

FOR_EVER = {**ROW, "distance": 2e6}
WATCHED = """
import sys, threading, time
from octavo.serving.watchdog import Watchdog

watchdog = Watchdog(after_s=1.0, note=print)
watchdog.start()
for _ in range(15):
    time.sleep(0.1)
    watchdog.turned()
print("turning", flush=True)
"""


def endless(data: bytes, *, above: float) -> bytes:
    """A model that does not come back if it would answer more than so much for any row."""
    model = onnx.load_from_string(data)
    graph = model.graph
    graph.node[-1].output[0] = "answer"
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["again"]), helper.make_node("Identity", ["before"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [None, 1]),
        ],
    )
    graph.initializer.append(helper.make_tensor("above", TensorProto.FLOAT, [], [above]))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["answer"], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "above"], ["is_endless"]),
            helper.make_node("Loop", ["", "is_endless", "answer"], ["y"], body=body),
        ]
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def publish_endless(artifacts: Artifacts) -> str:
    weights = [1.0, 0.0]
    files = bundle_files(plan=PLAN_SENT, weights=weights)
    files[ONNX] = endless(linear_model(weights), above=1e6)
    digest = ""
    for data in pack(files).values():
        digest = artifacts.put(data)
    SCHEMAS[digest] = digest_of(files[PLAN])
    return digest


@contextmanager
def running(folder: Path, *, workers: int) -> Iterator[Running]:
    project = make_project(folder, settings=f"{SETTINGS}workers = {workers}\nstuck_after_ms = 1000\n")
    project.publish(manifest(arm(publish_endless(project.artifacts))))
    with predictor(project) as found:
        yield found


def asked_for_ever(found: Running) -> threading.Thread:
    def ask() -> None:
        with suppress(OSError, http.client.HTTPException):
            found.call([FOR_EVER])

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def log_of(found: Running) -> str:
    return (found.project.config.root / "predictor.stderr").read_text()


def test_alone_it_ends_and_says_in_which_model_it_was(tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as found:
        assert found.call([ROW])[1]["predictions"][0]["value"] == 500.0
        asked = asked_for_ever(found)
        assert found.process.wait(30) == STUCK
        asked.join()
        assert f"nothing was answered for 1 s; this process ends model={MODEL} digest=sha256:" in log_of(found)
        assert "served.predict" in log_of(found)


def test_other_workers_answer_meanwhile_and_it_is_started_again(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as found:
        home = found.project.config.home

        def pids() -> list[int]:
            named = [find_running(home, f"predictor-{number}") for number in range(2)]
            return [one.pid for one in named if one is not None]

        before = pids()
        asked = asked_for_ever(found)
        until(lambda: len(pids()) == 2 and set(pids()) != set(before), what="one to be started again")
        asked.join()
        assert len(set(pids()) & set(before)) == 1, "the other one did not notice"
        assert {found.call([ROW])[0] for _ in range(20)} == {200}
        assert f"ended with {STUCK}; started again" in log_of(found)


def test_a_canary_that_does_not_come_back_is_asked_no_more_and_what_it_was_to_answer_counts_as_failed(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path, settings=f"{SETTINGS}stuck_after_ms = 1000\n")
    live = publish_bundle(project.artifacts, plan=PLAN_SENT, weights=[2.0, 0.0])
    arms = arm(live), arm(publish_endless(project.artifacts), role="canary", version=2, percent=50)
    project.publish(manifest(*arms))
    with predictor(project) as found:
        while found.process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                found.call([FOR_EVER])
        assert found.process.wait() == STUCK
    with predictor(project) as found:
        answers = [found.call([FOR_EVER] * 20) for _ in range(5)]
        assert {status for status, _ in answers} == {200}
        told = [one for _, answer in answers for one in answer["predictions"]]
        assert {(one["version"], one["value"]) for one in told} == {(1, 4e6)}
        assert b"a process stood still in version 2 (canary)" in found.get("/status")[1]
        assert "a process stood still in version 2" in complaints(project.config)["eta"]
        project.publish(manifest(*arms, sequence=2))
        until(lambda: not complaints(project.config), what="the next manifest")
        assert {one["version"] for one in found.call([ROW] * 50)[1]["predictions"]} == {1, 2}, "it is tried again"
        assert found.stop() == 0
    log = LocalLog(project.config.home / "predictor" / "log", sync=False)
    rows = rows_of(log.read(TOPIC, start=0)).to_pylist()
    log.close()
    failed = [row for row in rows if row["version"] == 2 and isnan(row["output"])]
    assert 20 < len(failed) < 80, "about half of a hundred"
    assert {row["arm"] for row in failed} == {"canary"}


@pytest.mark.parametrize(
    ("then", "code", "told"),
    [
        ("time.sleep(60)", STUCK, "nothing was answered for 1 s"),
        ("import itertools; sum(itertools.repeat(1))", 1, "Timeout (0:00:01.500000)!"),
        ("watchdog.stop(); time.sleep(1.5)", 0, "turning"),
    ],
    ids=["it stands still", "it holds the interpreter", "it turns, then is stopped"],
)
def test_it_ends_what_stands_still_and_nothing_else(then: str, code: int, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{WATCHED}\n{then}"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == code
    assert told in done.stdout + done.stderr
