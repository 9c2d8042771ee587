"""Killed while artifacts are removed: whatever is mentioned is there, and the next collection removes the rest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from octavo.clock import SystemClock
from octavo.config import Config
from octavo.definitions.project import load_project
from octavo.governance.collection import CollectArtifacts, Collected, collect
from octavo.operations import SYSTEM, Context
from octavo.stores.open import open_stores
from octavo.training.runs import Run
from tests.faults import diary
from tests.servers import program

ROOT = Path(__file__).parents[2]
LOST, TOLD = 5, 3


def open_context(place: Path) -> Context:
    """A project without declarations in a folder."""
    config = Config(root=place)
    stores, project = open_stores(config, writes_online=False), load_project(config.module_path, name="diary")
    return Context(config=config, clock=SystemClock(), stores=stores, project=project, principal=SYSTEM)


def close(context: Context) -> None:
    for store in (context.stores.metadata, context.stores.online, context.stores.stream):
        store.close()


def collected(place: Path) -> Collected:
    context = open_context(place)
    try:
        return collect(CollectArtifacts(remove=True), context)
    finally:
        close(context)


def lost_of(context: Context) -> list[str]:
    return [one.digest for one in context.stores.artifacts.kept() if one.size_bytes == 1]


@pytest.mark.parametrize("call", [2, LOST])
def test_killed_at_a_removal_it_leaves_all_that_is_mentioned(call: int, tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text("", encoding="utf-8")
    context = open_context(tmp_path)
    for number in range(TOLD):
        digest = context.stores.artifacts.put(diary.text_of(number))
        with context.transaction() as tx:
            tx.add(diary.entry(number, digest))
    for number in range(LOST):
        context.stores.artifacts.put(bytes([number]))
    close(context)
    files = [path for path in (tmp_path / ".octavo" / "artifacts").rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (0, 0))
    traced, paths = "unlink,unlinkat", [argument for path in files for argument in ("-P", str(path))]
    strace = [program("strace"), "-f", "-qq", "-o", os.devnull, *paths, "-e", f"trace={traced}"]
    strace += ["-e", f"inject={traced}:signal=KILL:when={call}"]
    code = "import sys; from tests.faults.test_collected import *; collected(Path(sys.argv[1])); print('the end')"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*strace, sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert "the end" not in done.stdout, "it was struck"
    context = open_context(tmp_path)
    left = lost_of(context)
    assert len(left) in (LOST - call, LOST - call + 1), done.stderr
    close(context)
    assert collected(tmp_path).removed == len(left)
    context = open_context(tmp_path)
    assert lost_of(context) == []
    with context.transaction() as tx:
        told = [context.stores.artifacts.get(run.artifacts["text"]) for run in tx.find(Run)]
    assert told == [diary.text_of(number) for number in range(TOLD)]
    close(context)
