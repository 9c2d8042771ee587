"""Rollback and stop on real processes: at once on all predictors, without a worker, for as long as people say so."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from octavo.client import Client
from octavo.config import Config, load_config
from octavo.errors import Unavailable
from octavo.processes import PREDICTOR, WORKER
from octavo.release.acknowledgement import acknowledgement
from tests.integration.projects import MODULE, SETTINGS, Running, prepare, until, up

QUICK = MODULE.replace('oc.Rollout(shadow="2h", steps=[50, 100], bake="2h")', "oc.Rollout(shadow=None, steps=[100])")
TWO_WORKERS = SETTINGS.replace("[predictor]\nport = 0", "[predictor]\nport = 0\nworkers = 2")
LIMIT_S = 5.0
ROW = {"depot": "north", "weight": 3.0}
WHY = "hours are told as minutes"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A project with two versions and two predictors."""
    folder = prepare(tmp_path / "deliveries", module=QUICK).root
    (folder / "octavo.toml").write_text(TWO_WORKERS, encoding="utf-8")
    return load_config(folder, {})


def command(running: Running, *arguments: str) -> float:
    """Run a command as a person does; the processor time that it took, most of which is its start."""
    call = [sys.executable, "-c", "from octavo.cli.app import main; main()", *arguments]
    before = os.times()
    done = subprocess.run(call, cwd=running.config.root, capture_output=True, text=True, check=False)
    after = os.times()
    assert done.returncode == 0, done.stderr
    return after.children_user + after.children_system - before.children_user - before.children_system


def answered_by(client: Client) -> str:
    """Which version answers, or what is said instead."""
    try:
        [prediction] = client.predict("eta", [ROW])["predictions"]
    except Unavailable as error:
        return "stopped" if WHY in error.message else error.message
    return str(prediction["version"])


def seconds_until_all(running: Running, act: Callable[[], float], expected: str) -> float:
    """How long it takes until both predictors serve by a command, and whoever asks is told nothing else.

    The start of the command counts by its processor time, since other tests may keep the machine busy.
    """
    before, own_s = sequence(running), act()
    began_s = time.monotonic()
    until(lambda: acknowledgement(running.config, "eta", sequence=before + 1).is_applied, what="both predictors follow")
    took_s = own_s + time.monotonic() - began_s
    for _ in range(10):
        with Client.here(running.config.root) as client:  # a connection of its own, so that either may answer
            assert answered_by(client) == expected
    return took_s


def sequence(running: Running) -> int:
    return int(running.client.call("deployments.show", deployment="eta")["summary"]["state"]["sequence"])


def both_live(running: Running) -> None:
    for version in (1, 2):
        release = running.release(version)
        until(lambda release=release: running.is_at(release, "live", 100), what=f"version {version} is live")  # type: ignore[misc]
    assert len(list((running.config.home / "predictor").glob("status*.json"))) == 2


def test_one_command_takes_back_or_stops_within_five_seconds_on_all_predictors(config: Config) -> None:
    with up(config) as running:
        both_live(running)
        worker = running.process(WORKER).pid
        os.kill(worker, 19)  # SIGSTOP: there is no worker that could do anything
        try:
            back_s = seconds_until_all(running, lambda: command(running, "deployments", "rollback", "eta"), "1")
            stop_s = seconds_until_all(
                running, lambda: command(running, "deployments", "stop", "eta", "--reason", WHY), "stopped"
            )
        finally:
            os.kill(worker, 18)
        print(f"rollback on all predictors {back_s:.2f} s, stop {stop_s:.2f} s")
        assert back_s < LIMIT_S
        assert stop_s < LIMIT_S
        running.kill(PREDICTOR)
        running.kill(WORKER)
        until(lambda: running.process(PREDICTOR), what="another predictor")
        assert still_stopped(running)
        release = running.release(2)
        until(lambda: running.is_at(release, "live", 100), what="a person released while it was stopped")
        assert still_stopped(running)
        start_s = seconds_until_all(running, lambda: command(running, "deployments", "start", "eta"), "2")
        assert start_s < LIMIT_S


def still_stopped(running: Running) -> bool:
    """Whether a predictor that answers says that it is stopped; one that starts is waited for."""
    return until(lambda: answered_by(running.client) == "stopped", what="it says that it is stopped")
