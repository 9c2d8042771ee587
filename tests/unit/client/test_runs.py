"""``octavo.run`` as people use it: in a project's folder, over HTTP, one within the other, ended in every way."""

import contextlib
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from tests.showrooms import Showroom, empty_showroom
from tests.unit.client.scripted import Reply, scripted_server

import octavo as oc
from octavo.access import ensure_admin, local_token, project_access
from octavo.api.app import build_app
from octavo.errors import ConfigurationError, Conflict, InvalidRequest, NotAllowed, Unavailable
from octavo.operations import SYSTEM, Dispatcher
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.artifacts import GetRunArtifact
from octavo.training.tracking.lost import record_lost, wall_now
from octavo.training.tracking.operations import ListRuns, LogToRun, ShowHistory
from octavo.wiring import all_operations


@dataclass(frozen=True)
class Octavo:
    """One that listens, and what it keeps."""

    room: Showroom
    url: str
    dispatcher: Dispatcher

    def runs(self) -> dict[str, Run]:
        return {run.name: run for run in self.dispatcher.call(ListRuns(limit=1_000), SYSTEM)}


@pytest.fixture(scope="module")
def octavo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Octavo]:
    room = empty_showroom(tmp_path_factory.mktemp("octavo"))
    ensure_admin(room.context.config.home)
    dispatcher = Dispatcher(all_operations(), room.context)
    settings = uvicorn.Config(build_app(room.context, dispatcher), port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    yield Octavo(room, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", dispatcher)
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def here(octavo: Octavo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Octavo:
    """The environment says where runs are kept; the current folder is none of a project."""
    monkeypatch.setenv("OCTAVO_URL", octavo.url)
    monkeypatch.setenv("OCTAVO_TOKEN", local_token(octavo.room.context.config.home))
    monkeypatch.chdir(tmp_path)
    return octavo


def test_three_lines_log_a_run(here: Octavo) -> None:
    with oc.run("three lines", params={"depth": 6}) as run:
        run.log_metric("auc", 0.9)
    found = here.runs()["three lines"]
    assert (found.status, found.params, found.metrics) == (RunStatus.SUCCEEDED, {"depth": "6"}, {"auc": 0.9})
    assert found.hardware["cores"]
    assert found.environment in found.artifacts.values()


def test_everything_that_was_logged_arrives(here: Octavo, tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "deep" / "a.bin").write_bytes(bytes(range(256)))
    with oc.run("everything", experiment="all") as run:
        for step in range(2_500):
            run.log_metrics({"loss": 1 / (step + 1), "odd": math.nan if step % 2 else math.inf})
        run.log_params({"depth": 6, "none": None})
        run.set_tag("team", "risk")
        run.set_tag("team", "fraud")
        run.log_text("notes.txt", "größer")
        run.log_artifact("plots")
        run.log_artifact(tmp_path / "plots" / "deep" / "a.bin", "raw/b.bin")
    found = here.runs()["everything"]
    history = here.dispatcher.call(ShowHistory(run=found.id, metric="loss"), SYSTEM)
    assert [point.step for point in history] == list(range(2_500))
    assert (found.metrics["loss"], math.isnan(found.metrics["odd"])) == (1 / 2_500, True)
    assert (found.experiment, found.params, found.tags) == ("all", {"depth": "6", "none": "None"}, {"team": "fraud"})
    kept = here.dispatcher.call(GetRunArtifact(run=found.id, name="plots/deep/a.bin"), SYSTEM)
    assert kept.data == bytes(range(256))
    assert {"notes.txt", "raw/b.bin"} <= set(found.artifacts)


def test_an_exception_ends_the_run_as_failed_and_goes_on(here: Octavo) -> None:
    with contextlib.suppress(ZeroDivisionError), oc.run("fails") as run:
        run.log_metric("before", 1 / 1)
        run.log_metric("after", 1 / 0)
    found = here.runs()["fails"]
    assert (found.status, found.error) == (RunStatus.FAILED, "ZeroDivisionError: division by zero")
    assert found.metrics == {"before": 1}


def test_an_interruption_ends_the_run_as_killed(here: Octavo) -> None:
    with pytest.raises(KeyboardInterrupt), oc.run("interrupted"):
        raise KeyboardInterrupt
    assert here.runs()["interrupted"].status is RunStatus.KILLED


def test_a_run_within_another_is_a_part_of_it(here: Octavo) -> None:
    assert oc.active_run() is None
    with oc.run("outer", experiment="nests") as outer:
        with oc.run("inner") as inner:
            assert oc.active_run() is inner
        assert oc.active_run() is outer
    found = here.runs()
    assert (found["inner"].parent, found["inner"].experiment) == (found["outer"].id, "nests")
    with oc.run("later", parent=outer.id):
        pass
    assert here.runs()["later"].parent == outer.id


def test_a_parameter_that_changes_is_refused_at_once(here: Octavo) -> None:
    with oc.run("changes", params={"depth": 6}) as run:
        run.log_param("depth", "6")
        with pytest.raises(Conflict, match="'depth' = '6' already"):
            run.log_param("depth", 7)
    assert here.runs()["changes"].params == {"depth": "6"}


def test_what_another_has_logged_meanwhile_is_a_conflict_by_the_end(here: Octavo) -> None:
    run = oc.run("raced")
    here.dispatcher.call(LogToRun(run=run.id, params={"depth": "6"}), SYSTEM)
    run.log_param("depth", 7)
    run.log_metric("kept", 1)
    with pytest.raises(Conflict, match="was not logged"):
        run.end()
    found = here.runs()["raced"]
    assert (found.params, found.metrics, found.status) == ({"depth": "6"}, {"kept": 1}, RunStatus.SUCCEEDED)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda run: run.log_metric("../x", 1),
        lambda run: run.log_metric("x", "high"),
        lambda run: run.log_text("../x", "y"),
        lambda run: run.log_text("octavo/x", "y"),
        lambda run: run.log_param("x" * 300, 1),
        lambda run: run.log_artifact("absent.txt"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_logged(here: Octavo, wrong: object) -> None:
    with oc.run("wrong") as run, pytest.raises(InvalidRequest):
        wrong(run)  # type: ignore[operator]  # a function


def test_without_the_right_to_log_no_run_begins(here: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    token = project_access(here.room.context.config.home).issue(name="eve", permissions=["models:read"])
    monkeypatch.setenv("OCTAVO_TOKEN", token)
    with pytest.raises(NotAllowed, match="runs:write"):
        oc.run("denied")
    monkeypatch.setenv("OCTAVO_TOKEN", "")
    with pytest.raises(ConfigurationError, match="set OCTAVO_TOKEN"):
        oc.run("nobody")


def test_without_a_project_and_a_url_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCTAVO_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="or set OCTAVO_URL and OCTAVO_TOKEN"):
        oc.run("nowhere")


def test_an_end_that_cannot_be_told_is_kept_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with scripted_server(Reply(body={}, then_close=True)) as server:
        run = oc.run("cut off", url=server.url, token="octavo_x", patience_s=0.3)
    run.log_metric("auc", math.inf, step=3)
    run.log_param("depth", 6)
    run.log_text("notes/a.txt", "x")
    with pytest.raises(Unavailable, match=f"octavo runs deliver {tmp_path}/octavo-run-{run.id}"):
        run.end()
    folder = tmp_path / f"octavo-run-{run.id}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "artifacts" / "notes" / "a.txt").read_text() == "x"
    assert '"value": "inf"' in (folder / "run.json").read_text()


def test_after_its_end_nothing_can_be_logged_and_ending_again_does_nothing(here: Octavo) -> None:
    run = oc.run("over")
    run.end("failed", error="by hand")
    run.end()
    with pytest.raises(Conflict, match="has ended here"):
        run.log_metric("late", 1)
    assert here.runs()["over"].error == "by hand"


KILLED = """
import os, signal, sys
import octavo as oc

run = oc.run("killed", url=sys.argv[1], token=sys.argv[2])
run.log_metric("loss", 0.5)
run.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""

SCRIPT = """
import sys
import octavo as oc
run = oc.run("left open", url=sys.argv[1], token=sys.argv[2])
for step in range(1_500):
    run.log_metric("loss", 1.0)
"""


def test_a_run_that_its_process_leaves_open_is_ended_with_all_that_was_logged(here: Octavo) -> None:
    token = local_token(here.room.context.config.home)
    done = subprocess.run([sys.executable, "-c", SCRIPT, here.url, token], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = here.runs()["left open"]
    assert (found.status, found.error) == (RunStatus.KILLED, "its process ended before the run did")
    assert len(here.dispatcher.call(ShowHistory(run=found.id), SYSTEM)) == 1_500


def test_a_run_whose_process_is_killed_by_force_is_lost_in_the_end(here: Octavo) -> None:
    token = local_token(here.room.context.config.home)
    done = subprocess.run([sys.executable, "-c", KILLED, here.url, token], check=False)
    assert (done.returncode, here.runs()["killed"].status) == (-signal.SIGKILL, RunStatus.RUNNING)
    lost = record_lost(here.room.context, now=wall_now() + timedelta(minutes=11))
    found = here.runs()["killed"]
    assert (found.id in lost, found.status, found.metrics) == (True, RunStatus.LOST, {"loss": 0.5})


def test_a_process_does_not_log_to_the_run_of_another(here: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    with oc.run("forked") as run:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("os.getpid", lambda: -1)
            with pytest.raises(Conflict, match="begun by another process"):
                run.log_metric("loss", 1)
            run.end()
        run.log_metric("loss", 2)
    assert here.runs()["forked"].metrics == {"loss": 2}
