"""What a run runs in: its code's state, its packages, its machine."""

import subprocess
from pathlib import Path

import pytest

from octavo.training.tracking import surroundings as around
from octavo.training.tracking.surroundings import environment, git_state, hardware, source


def git(folder: Path, *command: str) -> None:
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "project.py").write_text("depth = 6\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_outside_of_a_repository_nothing_is_known(tmp_path: Path) -> None:
    assert git_state(tmp_path) == (None, b"")


def test_a_clean_tree_is_its_commit(tree: Path) -> None:
    state, diff = git_state(tree)
    assert state is not None
    assert (len(state.commit), state.branch, state.dirty, state.untracked, diff) == (40, "trunk", False, (), b"")


def test_what_was_changed_and_added_since_the_commit_is_kept(tree: Path) -> None:
    (tree / "project.py").write_text("depth = 7\n")
    (tree / "notes ä.txt").write_text("x")
    (tree / "deep").mkdir()
    (tree / "deep" / "raw.bin").write_bytes(b"\0\1")
    git(tree, "add", "deep")
    (tree / ".octavo").mkdir()
    (tree / ".octavo" / "metadata.db").write_text("ours")
    state, diff = git_state(tree / "deep")
    assert state is not None
    assert (state.dirty, state.untracked) == (True, ("notes ä.txt",))
    assert b"-depth = 6\n+depth = 7" in diff
    assert b"GIT binary patch" in diff


def test_a_difference_that_is_too_long_is_left_out_and_said_to_be(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(around, "MOST_DIFF_BYTES", 10)
    (tree / "project.py").write_text("depth = 7\n")
    state, diff = git_state(tree)
    assert state is not None
    assert (state.dirty, diff, "up to 10 are kept" in state.note) == (True, b"", True)


def test_before_the_first_commit_there_is_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a.py").touch()
    state, _ = git_state(tmp_path)
    assert state is not None
    assert (state.commit, state.branch, state.dirty, state.untracked) == ("", "trunk", True, ("a.py",))


def test_a_repository_cannot_have_a_program_of_its_own_run(tree: Path) -> None:
    trap, sprung = tree / "trap.sh", tree.parent / f"{tree.name}-sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\n")
    trap.chmod(0o755)
    for setting in ("core.fsmonitor", "diff.external", "diff.x.textconv", "diff.x.command"):
        git(tree, "config", setting, str(trap))
    (tree / ".gitattributes").write_text("*.py diff=x\n")
    (tree / "project.py").write_text("depth = 7\n")
    _, diff = git_state(tree)
    assert b"+depth = 7" in diff
    assert not sprung.exists()


def test_without_git_nothing_is_known(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tree))
    assert git_state(tree) == (None, b"")


def test_the_environment_is_each_distribution_with_its_version_in_order() -> None:
    lines = environment().splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(names)
    assert "scikit-learn" in names
    assert all(line.count("==") == 1 for line in lines)


def test_the_machine_is_told() -> None:
    told = hardware()
    assert int(told["cores"]) >= 1
    assert {"machine", "system", "python"} <= set(told)


def test_a_source_is_the_name_of_what_was_started_without_its_arguments() -> None:
    assert "/" not in source()
