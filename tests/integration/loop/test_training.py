"""The worker trains, in a process of its own, whatever happens meanwhile; and retrains by itself when it must."""

import os
import signal
from datetime import timedelta
from typing import Any

from tests.integration.projects import START, Replay, Running, prepare, until, up

from octavo.config import Config
from octavo.processes import WORKER
from octavo.stores.locks import FileLock

DAY = timedelta(days=1)


def run_of(running: Running, run_id: str) -> Any:
    return running.client.call("runs.show", run=run_id)


def trainer(config: Config, run_id: str) -> int | None:
    """The pid of the process that trains, while it does."""
    lock = FileLock(config.home / "run" / f"training-{run_id}.lock")
    return int(lock.holder) if lock.is_taken() and lock.holder else None


def test_a_training_survives_the_death_of_the_worker_and_its_own(config: Config) -> None:
    with up(config) as running:
        run = running.client.call("runs.request", model="delivery_hours")["id"]
        first = until(lambda: trainer(config, run), what="it is being trained")
        running.kill(WORKER)
        second = until(lambda: (now := trainer(config, run)) != first and now, what="another process trains")
        assert second != first
        until(lambda: run_of(running, run)["status"] == "succeeded", what="it is trained")
        versions = running.client.call("models.show", model="delivery_hours")["versions"]
        assert [v["run"] for v in versions].count(run) == 1
        until(lambda: running.client.call("releases.list")[0]["state"] == "live", what="it is released")
        lost = running.client.call("runs.request", model="delivery_hours")["id"]
        os.kill(until(lambda: trainer(config, lost), what="it is being trained"), signal.SIGKILL)
        until(lambda: run_of(running, lost)["status"] == "failed", what="its end is noted")
        assert "ended by signal 9" in run_of(running, lost)["error"]


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
        for step in ("retraining on what was known at", "version 3 trained", "version 3 in eta: shadow", "version 3 in eta: live"):
            assert any(text.startswith(step) for text in told), (step, told)
        states = [step["state"] for step in newest["history"]]
        assert states == ["verified", "approved", "shadow", "canary", "live"]
