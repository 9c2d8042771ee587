"""Runs are done again from their records, and what comes of it is compared."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from octavo.config import Config
from octavo.loop.reproductions import ReproduceRun, reproduce_run
from octavo.operations import Context
from octavo.training.runs import Run
from octavo.wiring import open_context
from tests.integration.projects import MODULE, prepare

_BY_CHANCE = MODULE.replace(
    "random_state=1", "bagging_freq=1, bagging_fraction=0.5, random_state=time.time_ns() % 10**9"
)
_BY_CHANCE = _BY_CHANCE.replace("import octavo as oc", "import time\n\nimport octavo as oc")


def octavo(config: Config, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from octavo.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=config.root, capture_output=True, text=True, timeout=600, check=False)


def opened(config: Config) -> tuple[Context, Run]:
    """The project, and its first run."""
    context = open_context(config)
    with context.transaction() as tx:
        return context, tx.find(Run, model="delivery_hours")[0]


@pytest.mark.slow
def test_a_run_comes_out_the_same_in_a_fresh_environment_whatever_became_of_the_project(config: Config) -> None:
    _, run = opened(config)
    (config.root / "project.py").write_text(MODULE.replace("n_estimators=20", "n_estimators=3"), encoding="utf-8")
    done = octavo(config, "runs", "reproduce", run.id, "--json")
    if "cannot be made" in done.stderr and not os.environ.get("CI"):
        pytest.skip(f"no packages can be installed here: {done.stderr[:300]}")
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert (made["reproduced"], made["same_bytes"]) == (True, True)
    items = {item["item"]: item for item in made["items"]}
    assert set(items) == {"code", "python", "packages", "dataset", "metric mae", "model/model.txt"}
    assert all(item["equal"] for item in items.values())
    assert not list((config.home / "steps").iterdir())


def test_a_run_by_chance_does_not_and_it_says_what_differs(tmp_path: Path) -> None:
    config = prepare(tmp_path / "deliveries", module=_BY_CHANCE, versions=1)
    _, run = opened(config)
    done = octavo(config, "runs", "reproduce", run.id, "--environment", "current")
    assert done.returncode == 11, done.stderr
    assert "different: metric mae, model/model.txt" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [(row[0], row[1]) for row in rows if row[0] == "dataset"] == [("dataset", "yes")]
    assert "is the training's chance seeded" in done.stdout


def test_what_is_no_training_that_made_a_version_is_refused(config: Config) -> None:
    context, run = opened(config)
    for changes, words in [
        ({"model": ""}, "trained no declared model"),
        ({"trigger": "import (mlflow 3.0)"}, "fitted elsewhere"),
        ({"status": "failed"}, "is failed and has made no version"),
    ]:
        other = msgspec.convert({**msgspec.to_builtins(run), "id": "other", **changes}, Run)
        with context.transaction() as tx:
            tx.put(other)
        with pytest.raises(Exception, match=words):
            reproduce_run(ReproduceRun(run="other"), context)
