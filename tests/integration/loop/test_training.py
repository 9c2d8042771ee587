"""The worker trains, in a process of its own, whatever happens meanwhile; and retrains by itself when it must."""

import os
import signal
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from octavo.config import Config
from octavo.loop.trainings import new_run
from octavo.processes import WORKER
from octavo.stores.locks import FileLock
from octavo.training.runs import RunStatus
from octavo.wiring import open_context
from tests.integration.projects import START, Replay, Running, until, up

DAY = timedelta(days=1)


def run_of(running: Running, run_id: str) -> Any:
    return running.client.call("runs.show", run=run_id)


def trainer(config: Config, run_id: str) -> int | None:
    """The pid of the process that trains, while it does."""
    lock = FileLock(config.home / "run" / f"training-{run_id}.lock")
    return int(lock.holder) if lock.is_taken() and lock.holder else None


def leave_a_run(config: Config) -> str:
    """A run of a command that was killed."""
    context = open_context(config)
    left = replace(new_run(context, "delivery_hours", trigger="user"), status=RunStatus.RUNNING)
    with context.transaction() as tx:
        tx.add(left)
    return left.id


@pytest.mark.slow
def test_a_training_survives_the_death_of_the_worker_and_not_its_own(config: Config) -> None:
    left = leave_a_run(config)
    with up(config) as running:
        until(lambda: run_of(running, left)["status"] == "failed", what="it is recorded as failed")
        assert "its process ended before it was done" in run_of(running, left)["error"]
        run = running.client.call("runs.request", model="delivery_hours")["id"]
        first = until(lambda: trainer(config, run), what="it is being trained")
        running.kill(WORKER)
        until(lambda: trainer(config, run) not in (None, first), what="another process trains")
        until(lambda: run_of(running, run)["version"], what="it is trained and registered")
        versions = running.client.call("models.show", model="delivery_hours")["versions"]
        assert [version["run"] for version in versions].count(run) == 1
        until(lambda: is_live(running, run_of(running, run)["version"]), what="it is released")
        lost = running.client.call("runs.request", model="delivery_hours")["id"]
        os.kill(until(lambda: trainer(config, lost), what="it is being trained"), signal.SIGKILL)
        until(lambda: run_of(running, lost)["status"] == "failed", what="its end is noted")
        assert "ended by signal 9" in run_of(running, lost)["error"]
        kept = running.client.call("runs.artifact", run=run, name="octavo/log.txt")
        assert "building the training set" in b64decode(kept["data"]).decode()
        assert {"octavo/code.json", "octavo/environment.txt"} <= set(run_of(running, run)["artifacts"])


def is_live(running: Running, version: int) -> bool:
    releases = running.client.call("releases.list", deployment="eta")
    return any((release["version"], release["state"]) == (version, "live") for release in releases)


@pytest.mark.slow
def test_a_model_that_goes_wrong_is_retrained_and_replaced_by_itself(config: Config) -> None:
    with up(config) as running:
        release = running.release(1)
        until(lambda: running.is_at(release, "live", 100), what="version 1 is live")
        replay = Replay(running.client)
        replay.run(START, START + 2 * DAY, slower=1.7)
        [newest, *_] = running.client.call("releases.list")
        assert (newest["state"], newest["version"] > 2) == ("live", True)
        told = [
            entry["text"]
            for incident in running.client.call("incidents.list", deployment="eta", limit=10)
            for entry in incident["timeline"]
        ]
        for step in (
            "retraining on what was known at",
            "version 3 trained",
            "version 3 in eta: shadow",
            "version 3 in eta: live",
        ):
            assert any(text.startswith(step) for text in told), (step, told)
        states = [step["state"] for step in newest["history"]]
        assert states == ["verified", "approved", "shadow", "canary", "live"]
