"""Following manifests: whatever is wrong with a new one, the last good lineup goes on."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.serving.bundles import FIELDS, PLAN_OF_TESTS, ROW, bundle_files, pack, publish_bundle
from tests.serving.predictors import NOW, Bench
from tests.serving.projects import DEPLOYMENT, arm, manifest

from octavo.clock import to_micros
from octavo.definitions.types import DType
from octavo.errors import Unavailable
from octavo.registry.signing import Signer
from octavo.release.manifests import SignedManifest, document_name, encode
from octavo.serving import following
from octavo.serving import watcher as watching
from octavo.serving.status import DeploymentStatus, PredictorStatus
from octavo.serving.watcher import PURPOSE
from octavo.stores.memory import MemoryArtifacts


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves manifest 5."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)), sequence=5)
    return bench


def status(bench: Bench) -> DeploymentStatus:
    return bench.watcher.status.deployments[DEPLOYMENT]


def other(bench: Bench, **changes: Any) -> Any:
    """An arm with another bundle."""
    return arm(publish_bundle(bench.project.artifacts, bias=1.0, **changes), version=2)


def publish(bench: Bench, document: bytes, deployment: str = DEPLOYMENT) -> None:
    bench.project.artifacts.publish(document_name(deployment), document)
    bench.watcher.look()


def forged(bench: Bench) -> bytes:
    payload = encode(manifest(other(bench), sequence=6))
    signature = Signer(bench.project.config.root / "forged.key").sign(PURPOSE, payload)
    return msgspec.json.encode(SignedManifest(payload=payload, signature=signature))


def changed(bench: Bench) -> bytes:
    signed = msgspec.json.decode(bench.project.document(manifest(other(bench), sequence=6)), type=SignedManifest)
    return msgspec.json.encode(replace(signed, payload=encode(manifest(other(bench), sequence=7))))


def for_another_purpose(bench: Bench) -> bytes:
    payload = encode(manifest(other(bench), sequence=6))
    signature = bench.project.signer.sign("octavo/bundle/v1", payload)
    return msgspec.json.encode(SignedManifest(payload=payload, signature=signature))


def missing_file(bench: Bench) -> bytes:
    *_, last = pack(bundle_files(bias=1.0))
    digest = ""
    for name, data in pack(bundle_files(bias=1.0)).items():
        digest = bench.project.artifacts.put(data) if name == last else digest
    return bench.project.document(manifest(arm(digest, version=2), sequence=6))


def without_an_answer(bench: Bench) -> bytes:
    shadow = replace(other(bench), role="shadow")
    return bench.project.document(manifest(shadow, sequence=6))


def of_another_model(bench: Bench) -> bytes:
    return bench.project.document(manifest(replace(other(bench), model="other"), sequence=6))


def with_another_type(bench: Bench) -> bytes:
    fields = [replace(one, dtype=DType.STRING) if one.name == "seats" else one for one in FIELDS]
    shadow = other(bench, plan=replace(PLAN_OF_TESTS, fields=tuple(fields)))
    live = arm(publish_bundle(bench.project.artifacts))
    return bench.project.document(manifest(live, replace(shadow, role="shadow"), sequence=6))


def signed(**changes: Any) -> Callable[[Bench], bytes]:
    return lambda bench: bench.project.document(manifest(other(bench), **{"sequence": 6, **changes}))


WRONG: dict[str, tuple[Callable[[Bench], bytes], str]] = {
    "signed by another key": (forged, "only .* is trusted"),
    "changed after it was signed": (changed, "the signature does not fit the bytes"),
    "signed for another purpose": (for_another_purpose, "the signature does not fit the bytes"),
    "not a manifest": (lambda _: b"{}", "the manifest of 'eta' cannot be read"),
    "not even text": (lambda _: b"\xff\x00", "the manifest of 'eta' cannot be read"),
    "of another project": (signed(project="other"), "is one for 'eta' of 'other'; publish the right one"),
    "of another deployment": (signed(deployment="price"), "is one for 'price' of 'flights'; publish the right one"),
    "older": (signed(sequence=4), "manifest 4 of 'eta' is not newer than 5, now served; publish it under a higher"),
    "another under the same number": (signed(sequence=5), "is not newer than 5"),
    "without its bundle": (missing_file, "there is no artifact named"),
    "without an arm that answers": (without_an_answer, "has no arm that answers"),
    "with a bundle of another model": (of_another_model, "is about model 'other', but its bundle holds 'arrival_delay"),
    "with a field of two types": (with_another_type, "takes the field 'seats' as int64, another as string"),
}


@pytest.mark.parametrize(("make", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_and_the_last_good_lineup_goes_on(
    served: Bench, make: Callable[[Bench], bytes], reason: str
) -> None:
    before = served.watcher.lineups[DEPLOYMENT]
    publish(served, make(served))
    assert served.watcher.lineups[DEPLOYMENT] is before
    assert served.predict(ROW)["predictions"][0]["version"] == 1
    assert status(served).sequence == 5
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(status(served).error)


def test_a_model_that_does_not_reproduce_its_golden_rows_is_never_served(served: Bench) -> None:
    served.publish(arm(publish_bundle(served.project.artifacts, golden=9.0), version=2), sequence=6)
    assert "golden row 0 gives 5 instead of 9" in (status(served).error or "")
    assert served.predict(ROW)["predictions"][0]["version"] == 1


def test_a_damaged_artifact_is_never_served_and_is_once_it_is_mended(served: Bench) -> None:
    artifacts = served.project.artifacts
    assert isinstance(artifacts, MemoryArtifacts)
    damaged = publish_bundle(artifacts, bias=1.0)
    sound, artifacts._bytes[damaged] = artifacts._bytes[damaged], b"damaged"
    served.publish(arm(damaged, version=2), sequence=6)
    assert status(served).error
    artifacts._bytes[damaged] = sound
    time.sleep(following._FIRST_RETRY_S)
    served.watcher.look()
    assert (status(served).sequence, status(served).error) == (6, None)


def test_a_newer_manifest_replaces_the_lineup_as_a_whole(served: Bench) -> None:
    before = served.watcher.lineups[DEPLOYMENT]
    served.publish(other(served), sequence=6)
    assert served.watcher.lineups[DEPLOYMENT] is not before
    assert served.predict(ROW)["predictions"][0]["version"] == 2
    assert status(served) == DeploymentStatus(
        sequence=6, applied_at_us=to_micros(NOW), arms=served.watcher.lineups[DEPLOYMENT].manifest.arms
    )


def test_what_is_applied_is_not_looked_at_again(served: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.watcher._following, "_verified", lambda *_: pytest.fail("applied already"))
    for _ in range(3):
        served.watcher.look()


def test_what_was_refused_is_tried_again_less_and_less_often(served: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, tried = 1000.0, 0

    def considered(*_: Any) -> Any:
        nonlocal tried
        tried += 1
        raise Unavailable("not yet")

    monkeypatch.setattr("octavo.serving.following.time.monotonic", lambda: now_s)
    monkeypatch.setattr(served.watcher._following, "_verified", considered)
    served.project.publish(manifest(other(served), sequence=6))
    for _ in range(1000):
        served.watcher.look()
        now_s += 0.1
    assert 20 < tried < 30, "0.1 s, 0.2 s, ... and then every 5 s"


def test_one_wrong_manifest_does_not_hold_up_the_others(served: Bench) -> None:
    served.project.artifacts.publish(document_name("a_broken_one"), b"{")
    served.project.publish(manifest(other(served), sequence=1, deployment="price"))
    served.watcher.look()
    assert set(served.watcher.lineups) == {"eta", "price"}
    assert served.watcher.status.deployments["a_broken_one"].error


def test_documents_of_other_names_are_passed_over(served: Bench) -> None:
    served.project.artifacts.publish("deployments/readme.txt", b"hello")
    served.watcher.look()
    assert set(served.watcher.status.deployments) == {"eta"}


class Gone(MemoryArtifacts):
    """Artifacts that nobody can reach."""

    def published_names(self, prefix: str) -> Any:
        raise Unavailable("the artifacts cannot be reached")

    def get(self, digest: str) -> bytes:
        raise Unavailable("the artifacts cannot be reached")


def restarted(bench: Bench, artifacts: MemoryArtifacts) -> Bench:
    """The same predictor in a new process, with other artifacts."""
    again = Bench(replace(bench.project, artifacts=artifacts), online=bench.online)
    again.watcher.restore()
    again.watcher.look()
    return again


def test_while_the_artifacts_are_out_of_reach_it_goes_on_and_says_so(served: Bench) -> None:
    served.watcher._following._artifacts = Gone()
    served.watcher.look()
    assert served.watcher.status.error == "the artifacts cannot be reached"
    assert len(served.predict(ROW)["predictions"]) == 1
    served.watcher._following._artifacts = served.project.artifacts
    served.watcher.look()
    assert served.watcher.status.error is None


def test_it_starts_without_the_artifacts_from_its_own_disk(served: Bench) -> None:
    again = restarted(served, Gone())
    assert (status(again).sequence, status(again).error) == (5, None)
    assert again.predict(ROW)["predictions"][0]["version"] == 1


def test_on_its_own_disk_too_only_what_is_signed_counts(served: Bench) -> None:
    kept = served.project.config.home / "predictor" / document_name(DEPLOYMENT)
    kept.write_bytes(kept.read_bytes()[:-10] + b'0123456"}}')
    again = restarted(served, Gone())
    assert again.watcher.lineups == {}
    assert status(again).error


def test_a_bundle_damaged_on_its_own_disk_is_fetched_anew(served: Bench) -> None:
    for path in bundles(served):
        (path / "plan.json").write_bytes(b"{}")
    assert restarted(served, Gone()).watcher.lineups == {}
    again = restarted(served, served.project.artifacts)  # type: ignore[arg-type]  # in memory
    assert again.predict(ROW)["predictions"][0]["version"] == 1


def test_a_bundle_lost_from_its_own_disk_is_fetched_anew(served: Bench) -> None:
    for path in bundles(served):
        shutil.rmtree(path)
    again = restarted(served, served.project.artifacts)  # type: ignore[arg-type]
    assert again.predict(ROW)["predictions"][0]["version"] == 1


def test_a_restart_does_not_go_back_to_an_older_manifest(served: Bench) -> None:
    older = MemoryArtifacts()
    for data in pack(bundle_files()).values():
        older.put(data)
    older.publish(document_name(DEPLOYMENT), served.project.document(manifest(other(served), sequence=3)))
    again = restarted(served, older)
    assert status(again).sequence == 5
    assert "is not newer than 5" in (status(again).error or "")


def loaded_versions(bench: Bench) -> list[int]:
    return [model.version for model in bench.watcher.status.models]


def test_a_version_that_was_left_stays_loaded_for_a_while_and_is_let_go_then(served: Bench) -> None:
    for sequence in (6, 7):
        served.publish(
            arm(publish_bundle(served.project.artifacts, bias=float(sequence)), version=sequence), sequence=sequence
        )
    assert loaded_versions(served) == [1, 6, 7]
    served.clock.advance(served.clock.now() + timedelta(hours=1))
    served.watcher.look()
    assert loaded_versions(served) == [7]


def test_going_back_takes_the_model_that_is_still_loaded(served: Bench) -> None:
    first = served.watcher.lineups[DEPLOYMENT].arms[0]
    served.publish(other(served), sequence=6)
    shutil.rmtree(served.project.config.home / "predictor" / "bundles")
    served.project.artifacts.__init__()  # type: ignore[misc]  # nothing is left of any bundle
    served.publish(replace(first.arm, statement=None), sequence=7)
    assert served.watcher.lineups[DEPLOYMENT].arms[0].model is first.model


def test_the_status_file_says_what_is_served(served: Bench) -> None:
    path = served.project.config.home / "predictor" / "status.json"
    assert msgspec.json.decode(path.read_bytes(), type=PredictorStatus) == served.watcher.status
    publish(served, b"{}")
    assert "cannot be read" in (
        msgspec.json.decode(path.read_bytes(), type=PredictorStatus).deployments["eta"].error or ""
    )


def test_in_its_own_thread_it_applies_what_is_published(served: Bench) -> None:
    served.watcher.start()
    served.project.publish(manifest(other(served), sequence=6))
    deadline = time.monotonic() + 10
    while status(served).sequence != 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    served.watcher.stop()
    assert status(served).sequence == 6


def test_its_thread_survives_what_nobody_foresaw(
    served: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = []

    def look() -> None:
        looks.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(served.watcher, "look", look)
    monkeypatch.setattr(watching, "POLL_S", 0.001)
    served.watcher.start()
    while len(looks) < 3:
        time.sleep(0.001)
    served.watcher.stop()
    assert "looking for manifests failed" in caplog.text


def bundles(bench: Bench) -> list[Path]:
    return [path for path in (bench.project.config.home / "predictor" / "bundles").iterdir() if path.is_dir()]
