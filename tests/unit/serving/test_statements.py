"""Attacks on a release: each is refused with the reason, and the old version keeps serving."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.serving.bundles import ROW, bundle_files, pack, publish_bundle
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import DEPLOYMENT, arm, manifest

from octavo.clock import to_micros
from octavo.registry.bundles import CARD, digest_of
from octavo.registry.signing import Signer
from octavo.release.documents import signed
from octavo.release.manifests import PURPOSE, Arm, document_name
from octavo.release.statements import ReleaseStatement, with_statement
from octavo.serving.status import DeploymentStatus
from octavo.stores.memory import MemoryArtifacts


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves version 1 by manifest 5."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)), sequence=5)
    return bench


def status(bench: Bench) -> DeploymentStatus:
    return bench.watcher.status.deployments[DEPLOYMENT]


@contextmanager
def refused(bench: Bench, reason: str) -> Iterator[None]:
    """Whatever is done within is refused for that reason, and version 1 answers before and after."""
    before = bench.watcher.lineups[DEPLOYMENT]
    yield
    bench.watcher.look()
    assert bench.watcher.lineups[DEPLOYMENT] is before
    assert bench.predict(ROW)["predictions"][0]["version"] == 1
    said = status(bench)
    assert said.sequence == 5
    assert reason in (said.error or ""), said.error


def newer(bench: Bench, **changes: Any) -> Arm:
    """An arm of version 2, with another bundle."""
    return arm(publish_bundle(bench.project.artifacts, bias=1.0), version=2, **changes)


def publish_stating(bench: Bench, **said: Any) -> None:
    """Publish version 2 with a statement that says something else about it."""
    of = manifest(newer(bench), sequence=6)
    stated = replace(of, arms=(bench.project.stated_arm(of.arms[0], of, **said),))
    bench.project.publish(stated)


def test_a_version_with_its_statement_is_taken_up(served: Bench) -> None:
    served.publish(newer(served), sequence=6)
    assert served.predict(ROW)["predictions"][0]["version"] == 2
    assert (status(served).sequence, status(served).error) == (6, None)


def test_a_version_without_a_statement_is_refused(served: Bench) -> None:
    bare = manifest(newer(served), sequence=6)
    document = signed(bare, served.project.signer, purpose=PURPOSE)
    with refused(served, "comes without a release statement"):
        served.project.artifacts.publish(document_name(DEPLOYMENT), document)


def test_a_statement_signed_by_another_project_is_refused(served: Bench, tmp_path: Path) -> None:
    of = manifest(newer(served), sequence=6)
    own = served.project.stated_arm(of.arms[0], of)
    assert own.statement is not None
    said = msgspec.json.decode(own.statement.payload, type=ReleaseStatement)
    foreign = with_statement(own, said, Signer(tmp_path / "other.key"))
    with refused(served, "is trusted"):
        served.project.publish(replace(of, arms=(foreign,)))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"project": "trains"}, "is about project 'trains'"),
        ({"deployment": "price"}, "is about deployment 'price'"),
        ({"model": "departure_delay"}, "is about model 'departure_delay'"),
        ({"version": 1}, "is about version 1, but the manifest's arm is 2"),
        ({"digest": f"sha256:{'0' * 64}"}, "is about bundle"),
        ({"schema": f"sha256:{'0' * 64}"}, "is about schema"),
        ({"stage": "shadow"}, "is about stage 'shadow', but the manifest's arm is 'live'"),
    ],
    ids=lambda said: next(iter(said)) if isinstance(said, dict) else "",
)
def test_a_statement_about_something_else_is_refused(served: Bench, said: dict[str, Any], reason: str) -> None:
    with refused(served, reason):
        publish_stating(served, **said)


def test_a_renamed_version_is_refused(served: Bench) -> None:
    """The bytes of version 2, released as such, under the name of version 3."""
    of = manifest(newer(served), sequence=6)
    stated = served.project.stated(of)
    with refused(served, "is about version 2, but the manifest's arm is 3"):
        served.project.publish(replace(stated, arms=(replace(stated.arms[0], version=3),)))


def test_a_swapped_bundle_is_refused(served: Bench) -> None:
    """Other bytes, which are sound and of the project too, under a version that was released."""
    of = manifest(newer(served), sequence=6)
    stated = served.project.stated(of)
    other = publish_bundle(served.project.artifacts, bias=2.0)
    with refused(served, "is about bundle"):
        served.project.publish(replace(stated, arms=(replace(stated.arms[0], digest=other),)))


def test_a_statement_of_an_earlier_manifest_is_refused(served: Bench) -> None:
    with refused(served, "is about counter 4, but the manifest's arm is 6"):
        publish_stating(served, counter=4)


def test_an_expired_statement_is_refused(served: Bench) -> None:
    past = to_micros(served.clock.now()) - 1
    with refused(served, "expired at 2013-07-01 11:59 UTC"):
        publish_stating(served, expires_at_us=past)


def test_what_was_taken_up_goes_on_after_its_statement_expired(bench: Bench) -> None:
    soon = to_micros(bench.clock.now()) + 1_000_000
    of = manifest(arm(publish_bundle(bench.project.artifacts)), sequence=5)
    bench.project.publish(replace(of, arms=(bench.project.stated_arm(of.arms[0], of, expires_at_us=soon),)))
    bench.watcher.look()
    bench.clock.advance(bench.clock.now() + timedelta(days=1))
    again = restarted(bench)
    assert again.predict(ROW)["predictions"][0]["version"] == 1
    assert status(again).error is None


def test_a_downgrade_is_refused(served: Bench) -> None:
    older = served.project.document(manifest(newer(served), sequence=4))
    with refused(served, "manifest 4 of 'eta' is not newer than 5"):
        served.project.artifacts.publish(document_name(DEPLOYMENT), older)


def test_a_downgrade_is_refused_by_a_predictor_that_lost_what_it_served(served: Bench) -> None:
    older = served.project.document(manifest(newer(served), sequence=4))
    shutil.rmtree(served.project.config.home / "predictor" / "deployments")
    served.project.artifacts.publish(document_name(DEPLOYMENT), older)
    again = restarted(served)
    assert again.watcher.lineups == {}
    assert "older than 5, which was served before (a downgrade)" in (status(again).error or "")


def test_counters_that_cannot_be_read_are_not_taken_for_none(served: Bench) -> None:
    with refused(served, "eta.json cannot be read"):
        (served.project.config.home / "predictor" / "counters" / "deployments" / "eta.json").write_bytes(b"{")
        served.project.publish(manifest(newer(served), sequence=6))


def restarted(bench: Bench) -> Bench:
    """The same predictor in a new process."""
    again = Bench(bench.project, online=bench.online, clock=bench.clock)
    again.watcher.restore()
    again.watcher.look()
    return again


# What is done to the files, among the artifacts and on the predictor's own disk.


def in_store(bench: Bench, name: str, change: Callable[[bytes], bytes]) -> Arm:
    """Version 2, one of its files changed among the artifacts after it was packed."""
    files = bundle_files(bias=1.0)
    wanted, artifacts = newer(bench), bench.project.artifacts
    assert isinstance(artifacts, MemoryArtifacts)
    digest = digest_of(files[name])
    artifacts._bytes[digest] = change(artifacts._bytes[digest])
    return wanted


def test_a_bit_that_flipped_among_the_artifacts_is_refused(served: Bench) -> None:
    flipped = in_store(served, CARD, lambda data: bytes([data[0] ^ 1]) + data[1:])
    with refused(served, "does not match its digest"):
        served.project.publish(manifest(flipped, sequence=6))


def test_a_file_that_was_taken_away_among_the_artifacts_is_refused(served: Bench) -> None:
    wanted, artifacts = newer(served), served.project.artifacts
    assert isinstance(artifacts, MemoryArtifacts)
    del artifacts._bytes[digest_of(bundle_files(bias=1.0)["model/model.onnx"])]
    with refused(served, "there is no artifact named"):
        served.project.publish(manifest(wanted, sequence=6))


def test_a_manifest_with_a_file_more_or_less_is_another_bundle(served: Bench) -> None:
    """Whoever adds to a bundle's list, or takes from it, has another bundle, about which nothing is said."""
    of = manifest(newer(served), sequence=6)
    stated = served.project.stated(of)
    files = bundle_files(bias=1.0)
    for changed in ({**files, "more.txt": b"more"}, {name: data for name, data in files.items() if name != CARD}):
        *_, digest = [served.project.artifacts.put(data) for data in pack(changed).values()]
        with refused(served, "is about bundle"):
            served.project.publish(replace(stated, arms=(replace(stated.arms[0], digest=digest),)))


@pytest.fixture
def parted(tmp_path: Path) -> Bench:
    """A predictor that serves version 1, has version 2 on its disk from before, and whose artifacts are gone."""
    bench = make_bench(tmp_path)
    bench.publish(newer(bench), sequence=4)
    bench.publish(arm(publish_bundle(bench.project.artifacts)), sequence=5)
    again = restarted(bench)
    artifacts = bench.project.artifacts
    assert isinstance(artifacts, MemoryArtifacts)
    artifacts._bytes.clear()
    return again


def on_disk(bench: Bench) -> Path:
    """The folder of version 2 on the predictor's own disk."""
    digest = digest_of(list(pack(bundle_files(bias=1.0)).values())[-1])
    return bench.project.config.home / "predictor" / "bundles" / digest.removeprefix("sha256:")


def flip(place: Path) -> None:
    data = bytearray((place / "model" / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (place / "model" / "model.onnx").write_bytes(data)


def add(place: Path) -> None:
    (place / "code" / "more.py").write_text("import os", encoding="utf-8")


def add_git(place: Path) -> None:
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("[core]", encoding="utf-8")


def remove(place: Path) -> None:
    (place / "model" / "model.onnx").unlink()


def swap(place: Path) -> None:
    one, other = place / "card.md", place / "golden.json"
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)


def link(place: Path) -> None:
    file = place / "model" / "model.onnx"
    file.rename(place.parent / "kept.onnx")
    file.symlink_to(place.parent / "kept.onnx")


def link_folder(place: Path) -> None:
    (place / "model").rename(place.parent / "kept")
    (place / "model").symlink_to(place.parent / "kept")


def link_hard(place: Path) -> None:
    os.link(place / "model" / "model.onnx", place.parent / "kept.onnx")


def pipe(place: Path) -> None:
    (place / "card.md").unlink()
    os.mkfifo(place / "card.md")


@pytest.mark.parametrize("attack", [flip, add, add_git, remove, swap, link, link_folder, link_hard, pipe])
def test_what_was_changed_on_the_predictors_own_disk_is_refused(parted: Bench, attack: Callable[[Path], None]) -> None:
    """It is taken away and fetched anew; where that cannot be done the old version goes on."""
    kept = parted.project.stated(manifest(arm(_digest_of(on_disk(parted)), version=2), sequence=6))
    of = replace(kept, arms=(parted.project.stated_arm(kept.arms[0], kept, schema=_schema()),))
    attack(on_disk(parted))
    with refused(parted, "there is no artifact named"):
        parted.project.publish(of)


def test_what_is_whole_on_the_predictors_own_disk_needs_no_artifacts(parted: Bench) -> None:
    of = manifest(arm(_digest_of(on_disk(parted)), version=2), sequence=6)
    parted.project.publish(replace(of, arms=(parted.project.stated_arm(of.arms[0], of, schema=_schema()),)))
    parted.watcher.look()
    assert parted.predict(ROW)["predictions"][0]["version"] == 2


def _digest_of(place: Path) -> str:
    return f"sha256:{place.name}"


def _schema() -> str:
    return digest_of(bundle_files(bias=1.0)["plan.json"])
