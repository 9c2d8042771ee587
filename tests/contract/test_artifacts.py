"""What every store of artifacts promises."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.errors import InvalidRequest, NotFound
from octavo.stores.memory import MemoryArtifacts
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.ports import Artifacts


@pytest.fixture(params=["memory", "folder"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    return MemoryArtifacts() if request.param == "memory" else ObjectArtifacts(tmp_path / "artifacts")


def test_bytes_come_back_by_their_digest(artifacts: Artifacts) -> None:
    digest = artifacts.put(b"model")
    assert digest == f"sha256:{hashlib.sha256(b'model').hexdigest()}"
    assert artifacts.get(digest) == b"model"


def test_putting_twice_is_the_same_as_once(artifacts: Artifacts) -> None:
    assert artifacts.put(b"model") == artifacts.put(b"model")


def test_no_bytes_are_bytes_too(artifacts: Artifacts) -> None:
    assert artifacts.get(artifacts.put(b"")) == b""


def test_an_unknown_digest_is_not_found(artifacts: Artifacts) -> None:
    with pytest.raises(NotFound):
        artifacts.get("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "digest", ["", "0" * 64, "sha256:" + "A" * 64, "sha256:../../etc/passwd", "sha256:" + "0" * 65]
)
def test_what_is_no_digest_is_refused(artifacts: Artifacts, digest: str) -> None:
    with pytest.raises(InvalidRequest, match="is no digest"):
        artifacts.get(digest)


def test_a_document_is_replaced(artifacts: Artifacts) -> None:
    artifacts.publish("deployments/eta.json", b"1")
    artifacts.publish("deployments/eta.json", b"2")
    assert artifacts.published("deployments/eta.json") == b"2"


def test_a_document_never_published_is_none(artifacts: Artifacts) -> None:
    assert artifacts.published("deployments/eta.json") is None


def test_documents_are_listed_by_how_their_names_begin(artifacts: Artifacts) -> None:
    artifacts.put(b"no document")
    for name in ("deployments/late.json", "deployments/eta.json", "depots", "card"):
        artifacts.publish(name, b"x")
    assert list(artifacts.published_names("deployments/")) == ["deployments/eta.json", "deployments/late.json"]
    assert list(artifacts.published_names("dep")) == ["deployments/eta.json", "deployments/late.json", "depots"]
    assert list(artifacts.published_names("absent/")) == []


@pytest.mark.parametrize("name", ["", "../x", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/.b", "a b", "x" * 300])
def test_names_that_lead_elsewhere_are_refused(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot name a document"):
        artifacts.publish(name, b"x")
    with pytest.raises(InvalidRequest, match="cannot name a document"):
        artifacts.published(name)


def test_what_is_kept_is_listed_with_its_size_and_when_it_was_put(artifacts: Artifacts) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    digests = {artifacts.put(data): len(data) for data in (b"", b"model", b"model", b"card")}
    artifacts.publish("deployments/eta.json", b"no artifact")
    listed = list(artifacts.kept())
    assert {one.digest: one.size_bytes for one in listed} == digests
    assert len(listed) == 3
    assert all(before < one.put_at < datetime.now(UTC) + timedelta(seconds=1) for one in listed)


def test_what_is_removed_is_gone_and_nothing_else(artifacts: Artifacts) -> None:
    gone, stays = artifacts.put(b"gone"), artifacts.put(b"stays")
    artifacts.publish("card", b"gone")
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert artifacts.remove(gone, unless_put_since=later)
    assert not artifacts.remove(gone, unless_put_since=later)
    with pytest.raises(NotFound):
        artifacts.get(gone)
    assert [one.digest for one in artifacts.kept()] == [stays]
    assert artifacts.get(stays) == b"stays"
    assert artifacts.published("card") == b"gone"
    assert artifacts.put(b"gone") == gone
    assert artifacts.get(gone) == b"gone"


def test_what_was_put_since_stays(artifacts: Artifacts) -> None:
    digest = artifacts.put(b"model")
    assert not artifacts.remove(digest, unless_put_since=datetime.now(UTC) - timedelta(minutes=1))
    assert artifacts.get(digest) == b"model"


def test_only_a_digest_is_removed(artifacts: Artifacts) -> None:
    with pytest.raises(InvalidRequest, match="is no digest"):
        artifacts.remove("sha256:../published/card", unless_put_since=datetime.now(UTC))
