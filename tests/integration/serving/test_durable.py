"""``log = "durable"``: no answer before its record is on disk, whatever happens to process, machine or disk."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octavo.config import load_config
from octavo.serving.process import build
from octavo.serving.recorder import TOPIC
from octavo.stores.log import LocalLog
from tests.integration.serving.test_process import ids, recorded
from tests.serving.asgi import Caller, Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import PATH, Load, predictor
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest


@pytest.fixture
def project(tmp_path: Path) -> ServingProject:
    made = make_project(tmp_path / "project", settings=f'{SETTINGS}log = "durable"\n')
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    return made


class Machine:
    """A machine whose power may fail: what was never flushed is gone then.

    Attributes
    ----------
    flushed_bytes : dict of file to int
        How much of each file is on disk for sure.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushed_bytes: dict[str, int] = {}
        self.error: OSError | None = None
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._observing(getattr(os, name)))

    def fail(self, folder: Path) -> None:
        """Lose the power, and with it what was never flushed."""
        for file in folder.rglob("*.log"):
            os.truncate(file, self.flushed_bytes.get(str(file), 0))

    def _observing(self, flush: Callable[[int], None]) -> Callable[[int], None]:
        def observed(descriptor: int) -> None:
            file, size = str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.fstat(descriptor).st_size
            if self.error is not None and file.endswith(".log"):
                raise self.error
            flush(descriptor)
            if file.endswith(".log"):
                self.flushed_bytes[file] = size

        return observed


def asked(project: ServingProject, *, requests: int) -> list[Reply]:
    """The answers of a predictor in this process to requests at once."""
    app, watcher, log = build(load_config(project.config.root, {}))
    watcher.look()
    caller = Caller(app=app, token=project.token)
    body = b'{"rows":[{"distance":500,"sched_dep":"2013-07-01T12:30:00Z","origin":"JFK"}]}'

    async def ask() -> list[Any]:
        return await asyncio.gather(*(caller.ask("POST", PATH, parts=[body]) for _ in range(requests)))

    try:
        return asyncio.run(ask())
    finally:
        app.close()
        log.close()


def predicted(answers: list[Reply]) -> list[str]:
    return [answer.json["predictions"][0]["id"] for answer in answers if answer.status == 200]


def test_killed_under_load_it_has_kept_every_prediction_that_it_answered(project: ServingProject) -> None:
    with predictor(project) as running, Load(running, [ROW] * 5, callers=4) as load:
        load.wait_for(50)
        running.kill()
    kept = recorded(project)
    assert len(set(kept)) == len(kept)
    assert set(ids(load)) <= set(kept)


def test_when_the_power_fails_nothing_that_was_answered_is_lost(
    project: ServingProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    answers = asked(project, requests=40)
    assert {answer.status for answer in answers} == {200}
    machine.fail(project.config.home / "predictor" / "log")
    assert sorted(recorded(project)) == sorted(predicted(answers))


def test_requests_at_once_share_flushes(project: ServingProject, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushes.append)
    assert len(predicted(asked(project, requests=64))) == 64
    assert 1 <= len(flushes) <= 16


def test_a_disk_that_fails_lets_no_answer_go(project: ServingProject, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch).error = OSError(errno.EIO, "Input/output error")
    [answer] = asked(project, requests=1)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "could not be recorded" in answer.json["detail"]
    assert "Input/output error" in answer.json["detail"]


def test_a_log_that_takes_nothing_lets_no_answer_go(project: ServingProject) -> None:
    other = LocalLog(project.config.home / "predictor" / "log", sync=False, exclusive=True)
    other.publish(TOPIC, [b""])
    [answer] = asked(project, requests=1)
    assert answer.status == 503
    assert "written by another process" in answer.json["detail"]
    other.close()


def test_without_it_nothing_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = make_project(tmp_path / "fast")
    fast.publish(manifest(arm(publish_bundle(fast.artifacts))))
    machine = Machine(monkeypatch)
    assert len(predicted(asked(fast, requests=3))) == 3
    assert machine.flushed_bytes == {}
