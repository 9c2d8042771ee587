"""What becomes of a bundle that was changed: it is refused, with the reason."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.serving.bundles import publish_bundle

from octavo.errors import IntegrityError
from octavo.registry.bundles import Bundle, decode_manifest, digest_of, fetch_bundle, is_safe_name, open_bundle
from octavo.serving.models import load_model
from octavo.stores.memory import MemoryArtifacts


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    artifacts = MemoryArtifacts()
    return fetch_bundle(artifacts, publish_bundle(artifacts), into=tmp_path)


def test_a_changed_file_is_refused(bundle: Bundle) -> None:
    (bundle.path / "card.md").write_text("better", encoding="utf-8")
    with pytest.raises(IntegrityError, match="changed or damaged"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_missing_file_is_refused(bundle: Bundle) -> None:
    (bundle.path / "plan.json").unlink()
    with pytest.raises(IntegrityError, match="lacks the file"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_file_that_is_not_listed_is_refused(bundle: Bundle) -> None:
    (bundle.path / "model" / "more.onnx").write_bytes(b"")
    with pytest.raises(IntegrityError, match="does not list"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_link_is_refused_even_to_the_right_bytes(bundle: Bundle, tmp_path: Path) -> None:
    card = bundle.path / "card.md"
    card.rename(tmp_path / "elsewhere")
    card.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="lacks the file"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_another_manifest_is_refused(bundle: Bundle) -> None:
    manifest = bundle.path / "bundle.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"layout":1', b'"layout":2'))
    with pytest.raises(IntegrityError, match="bundle manifest"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_damaged_copy_is_fetched_anew(tmp_path: Path) -> None:
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts)
    first = fetch_bundle(artifacts, digest, into=tmp_path)
    (first.path / "card.md").write_text("worse", encoding="utf-8")
    assert fetch_bundle(artifacts, digest, into=tmp_path).card.startswith("# A model")
    assert [folder.name for folder in tmp_path.iterdir()] == [digest.removeprefix("sha256:")]


def test_a_file_changed_among_the_artifacts_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts)
    changed = decode_manifest(artifacts.get(digest), digest=digest).files["card.md"].digest
    artifacts._bytes[changed] = b"better"
    with pytest.raises(IntegrityError, match=r"card\.md.*changed or damaged"):
        fetch_bundle(artifacts, digest, into=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_folder_is_not_followed(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "more").symlink_to(tmp_path)
    with pytest.raises(IntegrityError, match=r"holds 'more', which its manifest does not list"):
        open_bundle(bundle.path, digest=bundle.digest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": 2}, "has layout 2"),
        ({"files": {}}, "lacks card.md"),
        ({"files": {"../x": {"digest": f"sha256:{'0' * 64}", "size_bytes": 0}}}, "not acceptable"),
        ({"files": {"card.md": {"digest": "sha256:0", "size_bytes": 0}}}, "not acceptable"),
        ({"more": 1}, "unknown field"),
        ({"model": 1}, "cannot be read"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_even_under_its_own_digest(change: dict[str, object], words: str) -> None:
    artifacts = MemoryArtifacts()
    manifest = msgspec.json.decode(artifacts.get(publish_bundle(artifacts)))
    data = msgspec.json.encode({**manifest, **change})
    with pytest.raises(IntegrityError, match=words):
        decode_manifest(data, digest=digest_of(data))


@pytest.mark.parametrize("digest", ["", "sha256:0", "../../etc", "sha256:" + "Z" * 64])
def test_what_is_no_digest_names_no_bundle(digest: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is no digest of a bundle"):
        fetch_bundle(MemoryArtifacts(), digest, into=tmp_path)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a//b", "a/../b", ".hidden", "a\\b", "", "bundle.json", "a/b/c/d/e"]
)
def test_a_name_that_could_leave_the_bundle_is_not_safe(name: str) -> None:
    assert not is_safe_name(name)


def hard_link(bundle: Bundle, aside: Path) -> None:
    os.link(bundle.path / "card.md", aside / "second-name")


def git(bundle: Bundle, aside: Path) -> None:
    (bundle.path / ".git").mkdir()
    (bundle.path / ".git" / "HEAD").write_text("ref", encoding="utf-8")


def empty_folder(bundle: Bundle, aside: Path) -> None:
    (bundle.path / "more").mkdir()


def pipe(bundle: Bundle, aside: Path) -> None:
    (bundle.path / "card.md").unlink()
    os.mkfifo(bundle.path / "card.md")


def folder_elsewhere(bundle: Bundle, aside: Path) -> None:
    (bundle.path / "model").rename(aside / "model")
    (bundle.path / "model").symlink_to(aside / "model")


def longer(bundle: Bundle, aside: Path) -> None:
    with (bundle.path / "card.md").open("ab") as file:
        file.truncate(1 << 33)  # a file that is all hole; nobody reads it


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (hard_link, "has another name elsewhere"),
        (git, r"holds '\.git/HEAD', which its manifest does not list"),
        (empty_folder, "holds 'more/', which its manifest does not list"),
        (pipe, "is no regular file"),
        (folder_elsewhere, "holds 'model', which its manifest does not list"),
        (longer, "has 8,589,934,592 bytes, which it should not"),
    ],
)
def test_what_is_not_as_it_was_packed_is_refused(
    bundle: Bundle, tmp_path: Path, attack: Callable[[Bundle, Path], None], reason: str
) -> None:
    attack(bundle, tmp_path)
    with pytest.raises(IntegrityError, match=reason):
        open_bundle(bundle.path, digest=bundle.digest)


def test_what_was_verified_is_what_is_loaded_whatever_becomes_of_the_files(bundle: Bundle) -> None:
    for name in bundle.manifest.files:
        (bundle.path / name).write_bytes(b"exchanged between being verified and being loaded")
    model = load_model(bundle)  # replays the golden rows, and runs the code
    hour = asyncio.run(model.functions.compute({"sched_dep": np.array(["2013-07-01T12:30"], "datetime64[us]")}, 1))
    assert hour["hour"].tolist() == [12.0]
