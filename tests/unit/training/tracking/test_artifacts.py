"""Files of runs: named within the run by a strict grammar, never by a path of the machine."""

import pytest
from tests.workshop import Workshop, in_transaction

from octavo.errors import Conflict, IntegrityError, InvalidRequest, LimitExceeded, NotFound
from octavo.stores.memory import MemoryArtifacts
from octavo.training.tracking import names
from octavo.training.tracking.artifacts import (
    ArtifactEntry,
    DropRunArtifact,
    GetRunArtifact,
    ListRunArtifacts,
    PutRunArtifact,
    drop_artifact,
    get_artifact,
    list_artifacts,
    put_artifact,
)
from octavo.training.tracking.operations import CreateRun, RunsIn, create_run


@pytest.fixture
def run(workshop: Workshop) -> str:
    made = in_transaction(workshop, create_run, CreateRun(runs_in=RunsIn(environment="a==1\n")))
    return str(made.id)


def put(workshop: Workshop, run: str, name: str, data: bytes = b"x") -> ArtifactEntry:
    return put_artifact(PutRunArtifact(run=run, name=name, data=data), workshop.context)


def listed(workshop: Workshop, run: str, folder: str | None = None) -> list[str]:
    found = in_transaction(workshop, list_artifacts, ListRunArtifacts(run=run, folder=folder))
    return [f"{one.name}/" if one.is_folder else one.name for one in found]


def test_a_file_comes_back_as_it_was_kept(workshop: Workshop, run: str) -> None:
    kept = put(workshop, run, "plots/roc.svg", b"\0<svg/>")
    found = get_artifact(GetRunArtifact(run=run, name="plots/roc.svg"), workshop.context)
    assert (found.data, found.digest) == (b"\0<svg/>", kept.digest)


def test_files_are_listed_by_folder(workshop: Workshop, run: str) -> None:
    for name in ("model/MLmodel", "model/data/model.skops", "notes.txt"):
        put(workshop, run, name)
    assert listed(workshop, run, "") == ["model/", "notes.txt", "octavo/"]
    assert listed(workshop, run, "model") == ["model/MLmodel", "model/data/"]
    assert listed(workshop, run) == ["model/MLmodel", "model/data/model.skops", "notes.txt", "octavo/environment.txt"]
    assert listed(workshop, run, "absent") == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "C:\\x",
        "a/./b",
        "~root/:x",
    ],
)
def test_a_name_that_could_be_a_path_elsewhere_is_refused(workshop: Workshop, run: str, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name of an artifact"):
        put(workshop, run, name)
    assert listed(workshop, run) == ["octavo/environment.txt"]


@pytest.mark.parametrize("name", ["a" * 501, "/".join("a" * 21)])
def test_a_name_that_is_too_long_or_too_deep_is_refused(workshop: Workshop, run: str, name: str) -> None:
    with pytest.raises(LimitExceeded, match="too long"):
        put(workshop, run, name)


@pytest.mark.parametrize("name", [".gitignore", "model/MLmodel", "a b (1).txt", "été.txt", "x@2=3+4,5#6%7~8", "..."])
def test_ordinary_names_are_taken(workshop: Workshop, run: str, name: str) -> None:
    assert put(workshop, run, name).name == name


def test_a_name_is_a_file_or_a_folder(workshop: Workshop, run: str) -> None:
    put(workshop, run, "a/b")
    for name in ("a", "a/b/c"):
        with pytest.raises(Conflict, match="a file and a folder at once"):
            put(workshop, run, name)


def test_what_octavo_keeps_is_not_overwritten_and_not_dropped(workshop: Workshop, run: str) -> None:
    for name in ("octavo/environment.txt", "octavo/new.txt", "octavo"):
        with pytest.raises(InvalidRequest, match="a name of Octavo's own"):
            put(workshop, run, name)
    with pytest.raises(Conflict, match="part of the record"):
        in_transaction(workshop, drop_artifact, DropRunArtifact(run=run, name="octavo/environment.txt"))


def test_a_file_is_dropped(workshop: Workshop, run: str) -> None:
    put(workshop, run, "a.txt")
    in_transaction(workshop, drop_artifact, DropRunArtifact(run=run, name="a.txt"))
    with pytest.raises(NotFound, match="no artifact named"):
        get_artifact(GetRunArtifact(run=run, name="a.txt"), workshop.context)


def test_a_file_that_is_too_large_is_refused(workshop: Workshop, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_ARTIFACT_BYTES", 3)
    with pytest.raises(LimitExceeded, match="has 4 bytes, and may have 3"):
        put(workshop, run, "a.txt", b"1234")


def test_a_run_holds_so_many_files(workshop: Workshop, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_ARTIFACTS", 2)
    put(workshop, run, "a.txt")
    with pytest.raises(LimitExceeded, match="a run may have 2"):
        put(workshop, run, "b.txt")


def test_damaged_bytes_are_never_handed_out(workshop: Workshop, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(workshop, run, "a.txt")

    def damaged(store: MemoryArtifacts, digest: str) -> bytes:
        raise IntegrityError(f"{digest} is damaged")

    monkeypatch.setattr(MemoryArtifacts, "get", damaged)
    with pytest.raises(IntegrityError):
        get_artifact(GetRunArtifact(run=run, name="a.txt"), workshop.context)
