"""artifacts collect, on a project with a trained version whose files are all old."""

import os

import pytest
from tests.unit.cli.shop import Shop

from octavo.governance.collection import CollectArtifacts
from octavo.monitoring.opened import open_model
from octavo.registry.bundles import decode_manifest, fetch_bundle
from octavo.registry.versions import ModelVersion
from octavo.stores.names import digest_of
from octavo.wiring import all_operations

LOST = b"x" * 20_000


@pytest.fixture
def aged(shop: Shop) -> Shop:
    """The project, among whose artifacts is one that nobody told of; all were put long ago."""
    with shop.context() as context:
        context.stores.artifacts.put(LOST)
    for path in (shop.folder / ".octavo" / "artifacts" / "sha256").rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    return shop


def test_what_nothing_mentions_is_shown_and_only_with_yes_removed(aged: Shop) -> None:
    shown = aged.run("artifacts", "collect")
    assert shown.exit_code == 0
    assert digest_of(LOST) in shown.stdout
    assert "Nothing mentions 1 of " in shown.stdout
    assert "0.02 MB of " in shown.stdout
    assert "Nothing was removed" in shown.stderr
    assert "Removed 1 of " in aged.done("artifacts", "collect", "--yes")
    assert "are mentioned" in aged.done("artifacts", "collect", "--yes")
    [removed] = [event for event in aged.json("audit", "list") if event["operation"] == "artifacts.removed"]
    lines = f"{digest_of(LOST)}\n".encode()
    assert removed["target"] == f"artifacts=1 bytes=20000 list={digest_of(lines)}"


def test_half_written_files_go_too_and_are_told_of(aged: Shop) -> None:
    aged.done("artifacts", "collect", "--yes")
    half = aged.folder / ".octavo" / "artifacts" / "sha256" / "eta#1"
    half.write_bytes(bytes(30_000))
    assert "half-written" not in aged.done("artifacts", "collect")
    os.utime(half, (0, 0))
    told = "half-written files of processes that were killed: 1, 0.03 MB"
    assert told in aged.done("artifacts", "collect")
    assert half.exists()
    assert f"Removed {told}" in aged.done("artifacts", "collect", "--yes")
    assert not half.exists()
    events = [event["target"] for event in aged.json("audit", "list") if event["operation"] == "artifacts.removed"]
    assert "unfinished=1 bytes=30000" in events


def test_all_of_a_version_stays(aged: Shop) -> None:
    assert aged.json("artifacts", "collect", "--deleted", "--older-than", "1h", "--yes")["removed"] == 1
    with aged.context() as context:
        with context.transaction() as tx:
            version = tx.get(ModelVersion, "spending/1")
        assert version is not None
        artifacts = context.stores.artifacts
        for entry in decode_manifest(artifacts.get(version.digest), digest=version.digest).files.values():
            assert len(artifacts.get(entry.digest)) == entry.size_bytes
        fetch_bundle(artifacts, version.digest, into=aged.folder / "fetched")
        open_model(artifacts, version.digest)
    aged.done("models", "report", "spending", "1")
    aged.done("models", "version", "spending", "1")
    aged.done("runs", "show", aged.json("runs", "list")[0]["id"])


def test_a_damaged_manifest_is_told_of_and_nothing_is_removed(aged: Shop) -> None:
    with aged.context() as context:
        with context.transaction() as tx:
            version = tx.get(ModelVersion, "spending/1")
        assert version is not None
    digits = version.digest.removeprefix("sha256:")
    (aged.folder / ".octavo" / "artifacts" / "sha256" / digits[:2] / digits).write_bytes(b"{}")
    refused = aged.run("artifacts", "collect", "--yes")
    assert refused.exit_code == 11
    assert version.digest in refused.stderr
    with aged.context() as context:
        assert context.stores.artifacts.get(digest_of(LOST)) == LOST


def test_no_server_offers_it(shop: Shop) -> None:
    assert CollectArtifacts not in [operation.request for operation in all_operations()]
