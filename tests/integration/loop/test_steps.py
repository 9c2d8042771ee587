"""Trainings of several steps: what was done is not done again after a death, and nothing is left running."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from octavo.config import Config
from octavo.processes import WORKER, is_alive
from octavo.training.runs import Run, RunStatus
from octavo.wiring import open_context
from tests.integration.projects import MODULE, PATIENCE_S, until, up

_TRAIN = "from octavo.cli import main; main()"
_STEPS = """
import os
import pathlib
import subprocess
import sys
import time


def noted(what):
    with open(pathlib.Path(__file__).parent / what, "a") as notes:
        notes.write(f"{os.getpid()}\\n")


@oc.step
def first_half(train):
    noted("first")
    return oc.Dataset(columns=train.columns, X=train.X[::2], y=train.y[::2], times=train.times[::2])


@oc.step(retries=1)
def fitted(rows, trees):
    from lightgbm import LGBMRegressor

    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    noted("second")
    while not (pathlib.Path(__file__).parent / "go").exists():
        time.sleep(0.02)
    return LGBMRegressor(n_estimators=trees, num_leaves=7, n_jobs=1, random_state=1, verbose=-1).fit(rows.X, rows.y)


"""


def with_steps(config: Config) -> Config:
    """Have the project's model train in two steps, of which the second waits for a file."""
    head, _, rest = MODULE.partition("@oc.model(")
    body, _, tail = rest.partition("    from lightgbm")
    tail = tail.partition("\n\n\neta")[2]
    text = head + _STEPS + "@oc.model(" + body + "    return fitted(first_half(train), trees=20)\n\n\neta" + tail
    (config.root / "project.py").write_text(text, encoding="utf-8")
    return config


def pids(config: Config, step: str) -> list[int]:
    file = config.root / step
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def processes_below(config: Config) -> list[int]:
    """Everything that runs in the project's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == config.root.resolve():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def runs(config: Config, **equal: object) -> list[Run]:
    context = open_context(config)
    with context.transaction() as tx:
        return tx.find(Run, **equal)


@pytest.mark.slow
def test_a_training_goes_on_with_the_step_that_was_under_way_when_the_worker_died(config: Config) -> None:
    with up(with_steps(config)) as running:
        run = running.client.call("runs.request", model="delivery_hours")["id"]
        until(lambda: pids(config, "second"), what="the second step runs")
        running.kill(WORKER)
        until(lambda: len(pids(config, "second")) == 2, what="another process runs it")
        first, again = pids(config, "second")
        until(lambda: not is_alive(first), what="the first one ended with the worker")
        assert is_alive(again)
        (config.root / "go").touch()
        until(lambda: running.client.call("runs.show", run=run)["version"], what="it is trained")
    assert len(pids(config, "first")) == 1, "the first step is done once"
    steps = [(step.name, step.status) for step in runs(config, parent=run)]
    assert steps == [
        ("first_half", RunStatus.SUCCEEDED),
        ("fitted", RunStatus.KILLED),
        ("fitted", RunStatus.SUCCEEDED),
    ]


def test_a_command_that_is_killed_leaves_no_step_running(config: Config) -> None:
    command = [sys.executable, "-c", _TRAIN, "train", "delivery_hours"]
    with (config.root / "train.log").open("wb") as output:
        training = subprocess.Popen(command, cwd=with_steps(config).root, stdout=output, stderr=output)
    until(lambda: pids(config, "second"), what="the second step runs")
    training.kill()
    training.wait(timeout=PATIENCE_S)
    until(lambda: not processes_below(config), what="nothing is left")


def test_processes_below_finds_some(config: Config) -> None:
    waits = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=config.root)
    try:
        assert processes_below(config) == [waits.pid]
    finally:
        waits.kill()
        waits.wait()


_IN_TRIALS = """    noted("trial")
    here = pathlib.Path(__file__).parent
    while len((here / "trial").read_text().split()) > 1 and not (here / "go").exists():
        time.sleep(0.02)
    from lightgbm"""


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_is_gone_on_with(config: Config) -> None:
    with_steps(config)
    steps = _STEPS.partition("@oc.step")[0]
    text = MODULE.replace("@oc.model(", f"{steps}@oc.model(").replace("    from lightgbm", _IN_TRIALS)
    text = text.replace("(train: oc.Dataset):", "(train: oc.Dataset, *, trees: int = 20):")
    (config.root / "project.py").write_text(text.replace("n_estimators=20", "n_estimators=trees"), encoding="utf-8")
    command = [sys.executable, "-c", _TRAIN, "sweep", "delivery_hours", "--no-train", "--trials", "3"]
    sweep = subprocess.Popen([*command, "--param", "trees=int:1..9"], cwd=config.root, stderr=subprocess.DEVNULL)
    until(lambda: len(pids(config, "trial")) == 2, what="the second trial runs")
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=PATIENCE_S) == 130
    until(lambda: not processes_below(config), what="nothing is left")
    [left] = runs(config, trigger="sweep", parent=None)
    assert left.status is RunStatus.KILLED
    (config.root / "go").touch()
    subprocess.run([*command, "--resume", left.id], cwd=config.root, check=True, stdout=subprocess.DEVNULL)
    assert len(pids(config, "trial")) == 4, "the one that was done is not done again"
    statuses = [trial.status for trial in runs(config, parent=left.id)]
    assert statuses == [RunStatus.SUCCEEDED, RunStatus.KILLED, RunStatus.SUCCEEDED, RunStatus.SUCCEEDED]
