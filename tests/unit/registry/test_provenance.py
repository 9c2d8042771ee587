"""Where a version comes from, and what git says of it."""

import subprocess
from pathlib import Path

import pytest
from tests.workshop import boosted, declare, open_workshop

from octavo.errors import IntegrityError
from octavo.registry.parity import Parity
from octavo.registry.provenance import (
    Provenance,
    decode_provenance,
    encode_provenance,
    environment_lock,
    installed_distributions,
    provenance_of,
)
from octavo.training.fit import TrainedModel, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    workshop = open_workshop(tmp_path_factory.mktemp("shop"), declare(boosted))
    return train(workshop.context, workshop.model, as_of=workshop.now)


def git(folder: Path, *command: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def found(trained: TrainedModel, folder: Path) -> Provenance:
    parity = Parity(worst=0.25, proven=(), refused=("every input missing",))
    return provenance_of(
        trained, folder=folder, environment={"octavo": "1.2.3", "numpy": "2.0", "x": "1"}, parity=parity
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    project = tmp_path / "shop"
    project.mkdir()
    (project / "project.py").write_text("visits = 1\n", encoding="utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--message", "A shop")
    return project


def test_without_git_there_is_no_commit(trained: TrainedModel, tmp_path: Path) -> None:
    provenance = found(trained, tmp_path)
    assert (provenance.commit, provenance.uncommitted) == (None, False)


def test_a_repository_without_a_commit_has_none(trained: TrainedModel, tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "project.py").write_text("", encoding="utf-8")
    assert (found(trained, tmp_path).commit, found(trained, tmp_path).uncommitted) == (None, False)


def test_the_commit_of_a_clean_project_is_named(trained: TrainedModel, repository: Path) -> None:
    provenance = found(trained, repository)
    assert provenance.commit == git(repository, "rev-parse", "HEAD")
    assert not provenance.uncommitted


def test_changes_in_the_project_are_told_and_those_beside_it_are_not(trained: TrainedModel, repository: Path) -> None:
    (repository.parent / "notes.txt").write_text("", encoding="utf-8")
    assert not found(trained, repository).uncommitted
    (repository / "project.py").write_text("visits = 2\n", encoding="utf-8")
    assert found(trained, repository).uncommitted


def test_only_the_libraries_that_make_models_are_named(trained: TrainedModel, tmp_path: Path) -> None:
    provenance = found(trained, tmp_path)
    assert (dict(provenance.libraries), provenance.octavo) == ({"numpy": "2.0"}, "1.2.3")
    assert (provenance.parity, provenance.refused) == (0.25, ("every input missing",))


def test_it_comes_back_from_its_document(trained: TrainedModel, tmp_path: Path) -> None:
    provenance = found(trained, tmp_path)
    assert decode_provenance(encode_provenance(provenance)) == provenance


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b"\xff"])
def test_what_is_no_provenance_is_refused(document: bytes) -> None:
    with pytest.raises(IntegrityError, match="no provenance of a model"):
        decode_provenance(document)


def test_names_of_distributions_are_normalized() -> None:
    environment = installed_distributions()
    assert all(name == name.lower() and "_" not in name and "." not in name for name in environment)
    assert environment_lock({"a-b": "1.0", "c": "2"}) == "a-b==1.0\nc==2\n"
