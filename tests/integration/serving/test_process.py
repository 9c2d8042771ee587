"""The predictor as a process: killed, stopped, without its artifacts, and while its versions change."""

import shutil
from pathlib import Path

import pytest

from octavo.errors import Unavailable
from octavo.features.online.keys import generation_of, pointer_key
from octavo.monitoring.prediction_log import rows_of
from octavo.processes import find_running
from octavo.release.aliases import PURPOSE, AliasManifest, NamedVersion
from octavo.release.documents import signed
from octavo.serving.recorder import TOPIC
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from tests.serving.bundles import MODEL, PROJECT, ROW, publish_bundle
from tests.serving.predictors import origins
from tests.serving.processes import Load, outcome, predictor, until
from tests.serving.projects import ServingProject, arm, make_project, manifest


@pytest.fixture
def project(tmp_path: Path) -> ServingProject:
    """A project with one version to serve and empty features."""
    made = make_project(tmp_path)
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    materialize(made)
    return made


def materialize(project: ServingProject) -> None:
    """Begin the online states of the one view."""
    store = LmdbOnlineStore(project.config.path(project.config.stores.online))
    generation = generation_of(origins)
    store.write({pointer_key("origin_delays"): generation.encode()}, marks={generation.applied_mark: 0})
    store.close()


def recorded(project: ServingProject) -> list[str]:
    log = LocalLog(project.config.home / "predictor" / "log", sync=False)
    found: list[str] = []
    read = 0
    while payloads := log.read(TOPIC, start=read):
        read += len(payloads)
        found += rows_of(payloads).column("id").to_pylist()
    log.close()
    return found


def served(load: Load) -> int:
    """The version that answered last."""
    version: int = load.answers[-1][1]["predictions"][0]["version"]
    return version


def ids(load: Load) -> list[str]:
    return [prediction["id"] for _, answer in load.answers for prediction in answer["predictions"]]


def test_killed_under_load_it_has_kept_every_prediction_that_it_answered_exactly_once(project: ServingProject) -> None:
    answered: list[str] = []
    for _ in range(3):
        with predictor(project) as running, Load(running, [ROW] * 5, callers=4) as load:
            load.wait_for(100)
            running.kill()
        answered += ids(load)
    kept = recorded(project)
    assert len(answered) >= 3 * 100 * 5
    assert len(set(kept)) == len(kept)
    assert set(answered) <= set(kept)
    assert len(kept) - len(answered) <= 3 * 4 * 5, "no more than was under way"


def test_told_to_stop_it_answers_what_is_under_way(project: ServingProject) -> None:
    with predictor(project) as running, Load(running, [ROW] * 1000, callers=4) as load:
        load.wait_for(8)
        assert running.stop() == 0
        assert find_running(project.config.home, "predictor") is None
    assert {status for status, _ in load.answers} == {200}
    assert sorted(ids(load)) == sorted(recorded(project)), "nothing was predicted and not answered"


def test_without_the_artifacts_it_starts_and_serves_from_its_own_disk(project: ServingProject) -> None:
    with predictor(project) as running:
        running.call([ROW])
    shutil.rmtree(project.config.path(project.config.stores.artifacts))
    with predictor(project) as running:
        status, answer = running.call([ROW])
    assert (status, answer["predictions"][0]["version"]) == (200, 1)


def test_versions_change_under_load_without_one_failed_request(project: ServingProject) -> None:
    with predictor(project) as running, Load(running, [ROW] * 3) as load:
        for version in range(2, 7):
            digest = publish_bundle(project.artifacts, bias=float(version))
            load.wait_for(20)
            project.publish(manifest(arm(digest, version=version), sequence=version))
            until(lambda wanted=version: served(load) == wanted, what="a swap")
    assert load.broken == []
    assert {status for status, _ in load.answers} == {200}
    of_requests = [{prediction["version"] for prediction in answer["predictions"]} for _, answer in load.answers]
    assert all(len(versions) == 1 for versions in of_requests), "no request is answered by parts of two lineups"
    assert {version for versions in of_requests for version in versions} == {1, 2, 3, 4, 5, 6}


def test_a_wrong_manifest_under_load_changes_nothing(project: ServingProject) -> None:
    with predictor(project) as running, Load(running, [ROW]) as load:
        wrong = publish_bundle(project.artifacts, golden=1e6)
        project.publish(manifest(arm(wrong, version=2), sequence=2))
        until(lambda: b"golden row" in running.get("/status")[1], what="a refusal")
        load.wait_for(20)
    assert load.broken == []
    assert {(status, answer["predictions"][0]["version"]) for status, answer in load.answers} == {(200, 1)}


def test_the_online_store_may_vanish_and_come_back(project: ServingProject) -> None:
    folder = project.config.path(project.config.stores.online)
    with predictor(project) as running:
        assert "degraded" not in running.call([ROW])[1]
        shutil.rmtree(folder)
        until(lambda: "degraded" in running.call([ROW])[1], what="to be noticed")
        status, answer = running.call([ROW])
        assert status == 200
        assert answer["predictions"][0]["features"]["origin_delays__events_count_1h"] == "missing"
        materialize(project)
        until(lambda: "degraded" not in running.call([ROW])[1], what="features again")


def test_it_starts_before_anything_was_published_and_serves_what_comes(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    with predictor(project) as running:
        assert running.call([ROW])[0] == 404
        project.publish(manifest(arm(publish_bundle(project.artifacts))))
        until(lambda: running.call([ROW])[0] == 200, what="an answer")


def test_it_has_read_its_log_before_it_listens(project: ServingProject) -> None:
    with predictor(project) as running:
        log = LocalLog(project.config.home / "predictor" / "log", sync=False, exclusive=True)
        with pytest.raises(Unavailable, match="written by another process"):
            log.publish(TOPIC, [b"x"])
        assert running.call([ROW])[0] == 200
    assert len(recorded(project)) == 1


def test_two_predictors_never_write_one_log(project: ServingProject) -> None:
    with predictor(project) as first:
        first.call([ROW])
        with predictor(project) as second:
            assert second.call([ROW])[1]["degraded"] is True
    assert len(recorded(project)) == 1


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [("HOST", "0.0.0.0", "tokens would cross the network in the clear"), ("PORT", "many", "[predictor]")],
)
def test_it_says_why_it_cannot_start(project: ServingProject, setting: str, value: str, reason: str) -> None:
    code, complaint = outcome(project.config.root, **{f"OCTAVO_PREDICTOR_{setting}": value})
    assert code == 1
    assert reason in complaint
    assert "Traceback" not in complaint


def test_outside_a_project_it_does_not_start(tmp_path: Path) -> None:
    code, complaint = outcome(tmp_path)
    assert (code, "make one with: octavo new" in complaint) == (1, True)


def test_it_says_whose_address_it_wanted(project: ServingProject) -> None:
    with predictor(project) as running:
        code, complaint = outcome(project.config.root, OCTAVO_PREDICTOR_PORT=str(running.port))
    assert code == 1
    assert f"127.0.0.1:{running.port}" in complaint


def name(project: ServingProject, version: int, *, sequence: int) -> None:
    """Have the alias champion name a version, which answers that much more than another."""
    digest = publish_bundle(project.artifacts, bias=float(version))
    named = (NamedVersion(alias="champion", version=version, digest=digest),)
    aliases = AliasManifest(project=PROJECT, model=MODEL, sequence=sequence, named=named, published_at_us=0)
    project.artifacts.publish(f"aliases/{MODEL}.json", signed(aliases, project.signer, purpose=PURPOSE))


def test_an_alias_moves_under_load_and_nobody_notices_but_by_the_answers(project: ServingProject) -> None:
    name(project, 3, sequence=1)
    path = f"/predict/{MODEL}@champion"
    with predictor(project) as running, Load(running, [ROW], callers=4, path=path) as load:
        load.wait_for(50)
        name(project, 4, sequence=2)
        until(lambda: served(load) == 4, what="the alias moves")
        shutil.rmtree(project.config.path(project.config.stores.artifacts))
        load.wait_for(50)
    assert {status for status, _ in load.answers} == {200}
    with predictor(project) as running, Load(running, [ROW], callers=1, path=path) as load:
        load.wait_for(1)
    assert served(load) == 4, "what it followed is on its own disk"
