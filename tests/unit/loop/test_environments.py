"""What a fresh environment is made of, and how the code of a run comes back."""

import platform
import subprocess
from pathlib import Path

import pytest
from tests.workshop import Workshop, boosted, declare, open_workshop

from octavo.errors import Unavailable
from octavo.loop.environments import clean_variables, make_environment, needed, parse_lock
from octavo.loop.reproductions import write_code
from octavo.training.runs import GitState, Run, RunStatus
from octavo.training.tracking.surroundings import environment

CODE = {"project.py": "import octavo as oc\n\ndef train(rows):\n    from sklearn.linear_model import Ridge\n"}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    folder = tmp_path / "repository" / "inner"
    folder.mkdir(parents=True)
    return open_workshop(folder, declare(boosted), events=0)


def run_of(workshop: Workshop, git: GitState | None) -> Run:
    now = workshop.now
    return Run(id="r", model="boosted", status=RunStatus.SUCCEEDED, trigger="user", as_of=now, started_at=now, git=git)


def git(folder: Path, *command: str) -> str:
    settings = ["-c", "user.name=ada", "-c", "user.email=ada@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *settings, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_lock_is_read_as_it_is_written() -> None:
    lock = parse_lock(environment())
    assert "".join(f"{name}=={version}\n" for name, version in lock.items()) == environment()


def test_what_is_needed_is_what_the_code_imports_and_all_that_this_requires() -> None:
    lock = parse_lock(environment())
    found = needed(lock, CODE)
    assert {"octavo", "scikit-learn", "scipy", "joblib", "numpy", "duckdb"} <= set(found)
    assert not {"pytest", "catboost", "xgboost-cpu", "redis"} & set(found)
    assert "catboost" in needed(lock, CODE, libraries=["catboost"])
    assert found == {name: lock[name] for name in found}


def test_variables_that_lead_into_this_environment_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("OCTAVO_PROJECT_NAME", "shops")
    assert "PYTHONPATH" not in clean_variables()
    assert clean_variables()["OCTAVO_PROJECT_NAME"] == "shops"


def test_an_environment_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"(?s)cannot be made.*--environment current"):
        make_environment(tmp_path / "e", {"octavo-of-nobody": "0.0.0"}, python=platform.python_version())


def test_the_code_of_a_run_is_what_it_kept_among_the_files_of_its_commit(workshop: Workshop, tmp_path: Path) -> None:
    inner = workshop.context.config.root
    (inner / "project.py").write_text("committed")
    (inner / "weights.txt").write_text("1 2 3")
    git(inner.parent, "init", "--quiet")
    git(inner.parent, "add", ".")
    git(inner.parent, "commit", "--quiet", "--message", "first")
    commit = git(inner.parent, "rev-parse", "HEAD")
    (inner / "weights.txt").write_text("other")
    module = write_code(
        workshop.context, run_of(workshop, GitState(commit=commit)), {"project.py": "kept"}, into=tmp_path / "code"
    )
    assert module == tmp_path / "code" / "inner" / "project.py"
    assert module.read_text() == "kept"
    assert (module.parent / "weights.txt").read_text() == "1 2 3"


@pytest.mark.parametrize("state", [None, GitState(commit="0" * 40), GitState(commit="--output=/tmp/x")])
def test_without_its_commit_it_is_what_it_kept(workshop: Workshop, tmp_path: Path, state: GitState | None) -> None:
    module = write_code(workshop.context, run_of(workshop, state), {"project.py": "kept"}, into=tmp_path / "code")
    assert [file.name for file in (tmp_path / "code").iterdir()] == ["project.py"]
    assert module.read_text() == "kept"


def test_no_name_of_a_file_leads_out_of_the_folder(workshop: Workshop, tmp_path: Path) -> None:
    write_code(workshop.context, run_of(workshop, None), {"../../out.py": "kept"}, into=tmp_path / "code")
    assert (tmp_path / "code" / "out.py").exists()
