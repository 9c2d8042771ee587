"""The signed manifest that follows from the metadata, and what the predictor says of it."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.stages import DEPLOYMENT, HOUR, Stage, set_stage

from octavo.config import SigningSettings
from octavo.errors import ConfigurationError, GateFailed
from octavo.registry.signing import Verifier
from octavo.registry.unsafe import UnsafeApproval
from octavo.release import lifecycle
from octavo.release.acknowledgement import Acknowledgement, acknowledgement
from octavo.release.documents import publish
from octavo.release.manifests import DeploymentManifest, SignedManifest, document_name
from octavo.release.publish import PURPOSE, publish_current, published_sequence
from octavo.release.releases import Approval, Release, ReleaseState
from octavo.release.rollout import Evidence
from octavo.release.statements import ReleaseStatement, check_statements
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


# What is signed about each arm.


def statements(stage: Stage) -> list[ReleaseStatement]:
    """Those of the published manifest, verified as a predictor would."""
    verifier = Verifier.load(stage.context.config.home / "keys" / "release.pub")
    found = check_statements(manifest(stage), verifier, now_us=stage.context.clock.now_us())
    return list(found.values())


def test_each_arm_comes_with_a_statement_about_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    release(stage, 2, up_to=ReleaseState.CANARY)
    number = publish_current(stage.context, DEPLOYMENT)
    live, canary = statements(stage)
    assert (live.project, live.deployment, live.model) == ("flights", DEPLOYMENT, "arrival_delay")
    assert [(one.version, one.stage, one.counter) for one in (live, canary)] == [
        (1, "live", number),
        (2, "canary", number),
    ]
    assert canary.digest == f"sha256:{2:064x}"


def test_a_statement_names_who_approved_and_by_which_policy(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    with stage.context.transaction() as tx:
        [found] = tx.find(Release)
        word = Approval(by="bo", at=stage.clock.now(), until=None, note="", digest=f"sha256:{1:064x}")
        of_another = replace(word, by="eve", digest=f"sha256:{9:064x}")
        tx.replace(found, replace(found, approvals=(word, of_another), policy="sha256:policy"))
        tx.put(UnsafeApproval(model="arrival_delay", version=1, digest=word.digest, by="cy", at=stage.clock.now()))
    publish_current(stage.context, DEPLOYMENT)
    [live] = statements(stage)
    assert (live.approvers, live.policy, live.unsafe_by) == (("bo",), "sha256:policy", ("cy",))


def test_statements_are_renewed_long_before_they_expire(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    first = publish_current(stage.context, DEPLOYMENT)
    stage.wait(29 * 24 * HOUR)
    assert publish_current(stage.context, DEPLOYMENT) == first
    stage.wait(2 * 24 * HOUR)
    assert publish_current(stage.context, DEPLOYMENT) == first + 1
    [live] = statements(stage)
    assert live.expires_at_us == stage.context.clock.now_us() + 90 * 86_400_000_000
    assert stage.state().sequence == first + 1


def test_statements_may_be_valid_without_end(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    endless = replace(stage.context.config, signing=SigningSettings(statements="never"))
    stage = Stage(replace(stage.context, config=endless), stage.clock)
    release(stage, 1, up_to=ReleaseState.LIVE)
    first = publish_current(stage.context, DEPLOYMENT)
    stage.wait(1_000 * 24 * HOUR)
    assert publish_current(stage.context, DEPLOYMENT) == first
    assert [one.expires_at_us for one in statements(stage)] == [None]


def test_a_manifest_of_before_there_were_statements_is_published_anew(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    first = publish_current(stage.context, DEPLOYMENT)
    before = manifest(stage)
    bare = replace(before, arms=tuple(replace(one, statement=None) for one in before.arms))
    publish(stage.context, bare, name=document_name(DEPLOYMENT), purpose=PURPOSE)
    assert publish_current(stage.context, DEPLOYMENT) == first + 1
    assert len(statements(stage)) == 1


def test_a_lifetime_that_is_none_is_refused(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    release(stage, 1, up_to=ReleaseState.LIVE)
    wrong = replace(stage.context.config, signing=SigningSettings(statements="soon"))
    with pytest.raises(ConfigurationError, match=r"\[signing\] statements: 'soon' is no time.*or 'never'"):
        publish_current(replace(stage.context, config=wrong), DEPLOYMENT)


def test_nothing_is_asked_for_a_model_of_which_too_little_is_said(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1)
    deployment = stage.context.project.deployments[DEPLOYMENT]
    bare = replace(deployment, model=replace(deployment.model, owner=""))
    project = replace(stage.context.project, deployments={DEPLOYMENT: bare})
    with pytest.raises(GateFailed, match=r"has no owner.*@oc\.model"):
        lifecycle.request(replace(stage.context, project=project), DEPLOYMENT, version=1, cause="user")
