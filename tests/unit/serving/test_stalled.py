"""Versions in which a process stood still are asked no more beside a live one, until the next manifest."""

from datetime import timedelta

import pytest
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import tensors
from tests.serving.predictors import NOW, Bench
from tests.serving.projects import DEPLOYMENT, arm

from octavo.monitoring.prediction_log import rows_of
from octavo.release.guards import judge, measure
from octavo.release.manifests import Arm
from octavo.serving.recorder import TOPIC
from octavo.stores.memory import MemoryTables


@pytest.fixture
def arms(bench: Bench) -> tuple[Arm, Arm]:
    """A live version and a canary that answers all that it may."""
    artifacts = bench.project.artifacts
    live, canary = publish_bundle(artifacts), publish_bundle(artifacts, bias=1.0)
    return arm(live, percent=1), arm(canary, role="canary", version=2, percent=99)


def version(bench: Bench) -> int:
    """The version that answers by default, told by many predictions."""
    found: dict[str, int] = max(bench.predict(*[ROW] * 50)["predictions"], key=lambda one: one["version"])
    return found["version"]


def stall(bench: Bench, digest: str) -> Bench:
    """A predictor that is started after another one has stood still in a bundle."""
    bench.watcher.note_stall(digest)
    anew = Bench(project=bench.project, log=bench.log)
    anew.watcher.restore()
    anew.watcher.look()
    return anew


def test_a_canary_is_asked_no_more_and_its_part_is_recorded_as_failed(bench: Bench, arms: tuple[Arm, Arm]) -> None:
    bench.publish(*arms)
    assert version(bench) == 2
    anew, before = stall(bench, arms[1].digest), len(bench.records)
    assert version(anew) == 1
    failed = [one for one in anew.records[before:] if one.version == 2]
    assert len(failed) > 40
    assert all(one.output != one.output for one in failed)
    told = anew.watcher.status.deployments[DEPLOYMENT].error
    assert told == "a process stood still in version 2 (canary), which is asked no more; version 1 answers in its place"


def test_the_guards_of_its_release_see_that_it_fails(bench: Bench, arms: tuple[Arm, Arm]) -> None:
    bench.publish(*arms)
    anew = stall(bench, arms[1].digest)
    anew.predict(*[ROW] * 50)
    predictions, tables = rows_of(anew.log.read(TOPIC, start=0)), MemoryTables()
    tables.ensure("predictions", predictions.schema)
    tables.append("predictions", predictions, writer="test", sequence=0)
    found = measure(tables, DEPLOYMENT, candidate=2, since=NOW, until=NOW + timedelta(hours=1))
    assert "of its predictions failed" in judge(found[1], found[2], is_shadow=False).complaint


def test_asked_for_by_number_it_is_not_there(bench: Bench, arms: tuple[Arm, Arm]) -> None:
    bench.publish(*arms)
    anew = stall(bench, arms[1].digest)
    reply = anew.caller.post(f"/v2/models/{DEPLOYMENT}/versions/2/infer", {"inputs": tensors([ROW])})
    assert (reply.status, reply.json["code"]) == (503, "unavailable")


def test_a_later_manifest_has_it_asked_again(bench: Bench, arms: tuple[Arm, Arm]) -> None:
    bench.publish(*arms)
    anew = stall(bench, arms[1].digest)
    anew.publish(*arms, sequence=2)
    assert version(anew) == 2
    assert anew.watcher.status.deployments[DEPLOYMENT].error is None
    assert version(stall(anew, arms[0].digest)) == 2


def test_other_workers_ask_it_no_more_either(bench: Bench, arms: tuple[Arm, Arm]) -> None:
    bench.publish(*arms)
    other = Bench(project=bench.project)
    other.watcher.look()
    assert version(other) == 2
    bench.watcher.note_stall(arms[1].digest)
    other.watcher.look()
    assert version(other) == 1
    applied = other.watcher.lineups[DEPLOYMENT]
    other.watcher.look()
    assert other.watcher.lineups[DEPLOYMENT] is applied


def test_a_live_version_is_asked_whatever_it_did(bench: Bench, arms: tuple[Arm, Arm]) -> None:
    bench.publish(arm(arms[0].digest))
    anew = stall(bench, arms[0].digest)
    assert version(anew) == 1
    assert anew.watcher.status.deployments[DEPLOYMENT].error is None


@pytest.mark.parametrize("written", [b"", b"{", b'{"eta": {"sequence": 1}}', b"[]"])
def test_notes_that_cannot_be_read_are_none(bench: Bench, arms: tuple[Arm, Arm], written: bytes) -> None:
    (bench.project.config.home / "predictor").mkdir(parents=True, exist_ok=True)
    (bench.project.config.home / "predictor" / "stalled.json").write_bytes(written)
    bench.publish(*arms)
    assert version(bench) == 2
