"""The signed manifest that follows from the metadata, and what the predictor says of it."""

from dataclasses import replace
from pathlib import Path

import msgspec
from tests.stages import DEPLOYMENT, HOUR, Stage, set_stage

from octavo.registry.signing import Verifier
from octavo.release import lifecycle
from octavo.release.acknowledgement import Acknowledgement, acknowledgement
from octavo.release.manifests import DeploymentManifest, SignedManifest, document_name
from octavo.release.publish import PURPOSE, publish_current, published_sequence
from octavo.release.releases import ReleaseState
from octavo.release.rollout import Evidence
from octavo.serving.status import DeploymentStatus, PredictorStatus, write_atomically
from octavo.stores.memory import MemoryArtifacts


def release(stage: Stage, version: int, *, up_to: ReleaseState) -> None:
    stage.add_version(version)
    found = lifecycle.request(stage.context, DEPLOYMENT, version=version, cause="user")
    while found.state is not up_to:
        stage.wait(HOUR)
        evidence = Evidence(has_live=stage.state().live is not None)
        found = lifecycle.note_served(stage.context, lifecycle.advance(stage.context, found.id, evidence=evidence))


def manifest(stage: Stage) -> DeploymentManifest:
    """The published one, verified as a predictor would."""
    document = stage.context.stores.artifacts.published(document_name(DEPLOYMENT))
    assert document is not None
    signed = msgspec.json.decode(document, type=SignedManifest)
    verifier = Verifier.load(stage.context.config.home / "keys" / "release.pub")
    verifier.verify(PURPOSE, signed.payload, signed.signature)
    return msgspec.json.decode(signed.payload, type=DeploymentManifest)


def arms(stage: Stage) -> list[tuple[str, int, float]]:
    return [(arm.role, arm.version, arm.percent) for arm in manifest(stage).arms]


def test_a_deployment_that_never_served_publishes_nothing(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    assert publish_current(stage.context, DEPLOYMENT) == 0
    assert stage.context.stores.artifacts.published(document_name(DEPLOYMENT)) is None


def test_the_manifest_names_each_arm_with_its_bytes_and_its_share(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    assert publish_current(stage.context, DEPLOYMENT) == 1
    assert arms(stage) == [("live", 1, 100)]
    release(stage, 2, up_to=ReleaseState.SHADOW)
    publish_current(stage.context, DEPLOYMENT)
    assert arms(stage) == [("live", 1, 100), ("shadow", 2, 0)]
    assert manifest(stage).arms[1].digest == f"sha256:{2:064x}"


def test_a_canary_shares_the_traffic_with_the_live_version(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    release(stage, 2, up_to=ReleaseState.CANARY)
    publish_current(stage.context, DEPLOYMENT)
    assert arms(stage) == [("live", 1, 90), ("canary", 2, 10)]


def test_what_is_published_already_is_not_published_again(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    publish_current(stage.context, DEPLOYMENT)
    first = manifest(stage)
    stage.wait(HOUR)
    publish_current(stage.context, DEPLOYMENT)
    assert manifest(stage) == first


def test_a_manifest_that_was_lost_or_is_behind_is_published_anew(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    publish_current(stage.context, DEPLOYMENT)
    restored = Stage(
        replace(stage.context, stores=replace(stage.context.stores, artifacts=MemoryArtifacts())), stage.clock
    )
    assert published_sequence(restored.context.stores.artifacts, DEPLOYMENT) == 0
    assert publish_current(restored.context, DEPLOYMENT) == 1
    assert arms(restored) == [("live", 1, 100)]


def test_when_nothing_is_live_predictors_go_on_as_they_are(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1)
    found = lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    for _ in range(3):
        found = lifecycle.advance(stage.context, found.id, evidence=Evidence(has_live=False))
    publish_current(stage.context, DEPLOYMENT)
    lifecycle.refuse(stage.context, found.id, reason="it cannot be loaded")
    assert publish_current(stage.context, DEPLOYMENT) == 1
    assert arms(stage) == [("live", 1, 100)]


def say(stage: Stage, status: DeploymentStatus) -> None:
    """Have the predictor say how far it is, as it does."""
    document = msgspec.json.encode(PredictorStatus(pid=1, deployments={DEPLOYMENT: status}))
    write_atomically(stage.context.config.home / "predictor" / "status.json", document)


def test_a_predictor_acknowledges_by_the_sequence_that_it_serves(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    config = stage.context.config
    assert acknowledgement(config, DEPLOYMENT, sequence=1) == Acknowledgement(is_applied=False)
    say(stage, DeploymentStatus(sequence=3))
    assert acknowledgement(config, DEPLOYMENT, sequence=3).is_applied
    assert not acknowledgement(config, DEPLOYMENT, sequence=4).is_applied
    assert not acknowledgement(config, "another", sequence=1).is_applied


def test_a_predictor_complains_of_what_it_does_not_apply(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    say(stage, DeploymentStatus(sequence=3, error="golden row 7 differs"))
    assert acknowledgement(stage.context.config, DEPLOYMENT, sequence=4).complaint == "golden row 7 differs"
    assert acknowledgement(stage.context.config, DEPLOYMENT, sequence=3) == Acknowledgement(is_applied=True)


def test_a_status_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    write_atomically(stage.context.config.home / "predictor" / "status.json", b"{")
    assert acknowledgement(stage.context.config, DEPLOYMENT, sequence=1) == Acknowledgement(is_applied=False)
