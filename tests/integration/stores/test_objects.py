"""Artifacts in a folder whose bytes change, or vanish, behind the store's back."""

import fcntl
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.errors import IntegrityError, Unavailable
from octavo.stores.names import digest_of
from octavo.stores.objects import ObjectArtifacts


def kept(root: Path, digest: str) -> Path:
    digits = digest.removeprefix("sha256:")
    return root / "sha256" / digits[:2] / digits


def test_changed_bytes_are_never_handed_out(tmp_path: Path) -> None:
    artifacts = ObjectArtifacts(tmp_path)
    digest = artifacts.put(b"model")
    kept(tmp_path, digest).write_bytes(b"mOdel")
    with pytest.raises(IntegrityError, match="is not what was kept"):
        artifacts.get(digest)


def test_putting_the_original_mends_what_was_changed(tmp_path: Path) -> None:
    artifacts = ObjectArtifacts(tmp_path)
    digest = artifacts.put(b"model")
    kept(tmp_path, digest).write_bytes(b"")
    artifacts.put(b"model")
    assert artifacts.get(digest) == b"model"


def test_a_document_is_never_seen_by_halves(tmp_path: Path) -> None:
    artifacts = ObjectArtifacts(tmp_path)
    versions = [bytes([number]) * 200_000 for number in range(3)]
    artifacts.publish("deployments/eta.json", versions[0])
    done = threading.Event()
    seen: set[bytes | None] = set()

    def watch() -> None:
        while not done.is_set():
            seen.add(artifacts.published("deployments/eta.json"))

    reader = threading.Thread(target=watch)
    reader.start()
    for number in range(200):
        artifacts.publish("deployments/eta.json", versions[number % 3])
    done.set()
    reader.join()
    assert seen <= set(versions)


def test_what_a_process_that_was_killed_left_is_seen_and_removed_once_it_is_old(tmp_path: Path) -> None:
    artifacts, now = ObjectArtifacts(tmp_path), datetime.now(UTC)
    digest = artifacts.put(b"model")
    artifacts.publish("deployments/eta.json", b"x")
    documents = tmp_path / "published" / "deployments"
    halves = [Path(f"{kept(tmp_path, digest)}#1"), documents / "eta.json#12", documents / "new.json#1"]
    for size, half in enumerate(halves, 1):
        half.write_bytes(bytes(size))
    for half in halves[:2]:
        os.utime(half, (0, 0))
    assert sorted(artifacts.half_written(before=now - timedelta(days=1))) == [1, 2]
    assert [half.exists() for half in halves] == [True, True, True]
    assert sorted(artifacts.half_written(before=now - timedelta(days=1), remove=True)) == [1, 2]
    assert [half.exists() for half in halves] == [False, False, True]
    assert artifacts.half_written(before=now - timedelta(days=1)) == []
    assert (artifacts.get(digest), artifacts.published("deployments/eta.json")) == (b"model", b"x")


def test_half_of_a_file_is_what_obstore_leaves_behind(tmp_path: Path) -> None:
    writing = (
        "import sys; from pathlib import Path; from octavo.stores.objects import ObjectArtifacts\n"
        "artifacts = ObjectArtifacts(Path(sys.argv[1])); print(flush=True)\n"
        "while True: artifacts.put(bytes(50_000_000))"
    )
    artifacts, later = ObjectArtifacts(tmp_path), datetime.now(UTC) + timedelta(days=1)
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", writing, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while not list(tmp_path.rglob("*#*")):
                pass
            process.kill()
        if artifacts.half_written(before=later):
            break
    assert artifacts.half_written(before=later, remove=True)
    assert {one.digest for one in artifacts.kept()} <= {digest_of(bytes(50_000_000))}
    assert list(tmp_path.rglob("*#*")) == []


def test_another_instance_sees_what_was_published(tmp_path: Path) -> None:
    ObjectArtifacts(tmp_path).publish("deployments/eta.json", b"x")
    assert list(ObjectArtifacts(tmp_path).published_names("deployments/")) == ["deployments/eta.json"]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be reached now"):
        ObjectArtifacts(tmp_path / "file" / "artifacts")


def test_putting_again_makes_it_young(tmp_path: Path) -> None:
    artifacts = ObjectArtifacts(tmp_path)
    digest = artifacts.put(b"model")
    os.utime(kept(tmp_path, digest), (0, 0))
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert [one.put_at.year for one in artifacts.kept()] == [1970]
    artifacts.put(b"model")
    assert not artifacts.remove(digest, unless_put_since=hour_ago)
    os.utime(kept(tmp_path, digest), (0, 0))
    assert artifacts.remove(digest, unless_put_since=hour_ago)


def test_what_is_no_artifact_is_not_listed(tmp_path: Path) -> None:
    artifacts = ObjectArtifacts(tmp_path)
    digest = artifacts.put(b"model")
    folder = kept(tmp_path, digest).parent
    (folder / f"{kept(tmp_path, digest).name}.old").write_bytes(b"x")
    (folder / ("f" * 64)).write_bytes(b"in another's folder")
    (tmp_path / "sha256" / "notes.txt").write_bytes(b"x")
    assert [one.digest for one in artifacts.kept()] == [digest]


def test_who_puts_and_who_removes_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = ObjectArtifacts(tmp_path)
    digest, taken = artifacts.put(b"model"), []
    write, unlink = ObjectArtifacts._write, Path.unlink

    def is_taken(kind: int) -> bool:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def writing(self: ObjectArtifacts, place: str, data: bytes) -> None:
        taken.append(("put", is_taken(fcntl.LOCK_SH), is_taken(fcntl.LOCK_EX)))
        write(self, place, data)

    def unlinking(self: Path) -> None:
        taken.append(("remove", is_taken(fcntl.LOCK_SH), is_taken(fcntl.LOCK_EX)))
        unlink(self)

    monkeypatch.setattr(ObjectArtifacts, "_write", writing)
    monkeypatch.setattr(Path, "unlink", unlinking)
    artifacts.put(b"model")
    assert artifacts.remove(digest, unless_put_since=datetime.now(UTC) + timedelta(minutes=1))
    assert taken == [("put", False, True), ("remove", True, True)]
    assert not is_taken(fcntl.LOCK_EX)
