"""What becomes of a bundle that was changed: it is refused, with the reason."""

from pathlib import Path

import pytest
from tests.serving.bundles import publish_bundle

from octavo.errors import IntegrityError
from octavo.registry.bundles import fetch_bundle, is_safe_name, open_bundle
from octavo.stores.memory import MemoryArtifacts


@pytest.fixture
def bundle(tmp_path: Path):
    artifacts = MemoryArtifacts()
    return fetch_bundle(artifacts, publish_bundle(artifacts), into=tmp_path)


def test_a_changed_file_is_refused(bundle) -> None:
    (bundle.path / "card.md").write_text("better", encoding="utf-8")
    with pytest.raises(IntegrityError, match="changed or damaged"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_missing_file_is_refused(bundle) -> None:
    (bundle.path / "plan.json").unlink()
    with pytest.raises(IntegrityError, match="lacks the file"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_file_that_is_not_listed_is_refused(bundle) -> None:
    (bundle.path / "model" / "more.onnx").write_bytes(b"")
    with pytest.raises(IntegrityError, match="does not list"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_a_link_is_refused_even_to_the_right_bytes(bundle, tmp_path: Path) -> None:
    card = bundle.path / "card.md"
    card.rename(tmp_path / "elsewhere")
    card.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="lacks the file"):
        open_bundle(bundle.path, digest=bundle.digest)


def test_another_manifest_is_refused(bundle) -> None:
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


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a//b", "a/../b", ".hidden", "a\\b", "", "bundle.json", "a/b/c/d/e"]
)
def test_a_name_that_could_leave_the_bundle_is_not_safe(name: str) -> None:
    assert not is_safe_name(name)
