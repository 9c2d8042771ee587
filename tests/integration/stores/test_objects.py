"""Artifacts in a folder whose bytes change, or vanish, behind the store's back."""

import threading
from pathlib import Path

import pytest

from octavo.errors import IntegrityError, Unavailable
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


def test_another_instance_sees_what_was_published(tmp_path: Path) -> None:
    ObjectArtifacts(tmp_path).publish("deployments/eta.json", b"x")
    assert list(ObjectArtifacts(tmp_path).published_names("deployments/")) == ["deployments/eta.json"]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be reached now"):
        ObjectArtifacts(tmp_path / "file" / "artifacts")
