"""A stopped deployment asks no model: a constant answers or callers are told, by every door and after restarts."""

import threading
import time
from typing import Any

import pytest
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import DOORS
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import DEPLOYMENT, arm, manifest

import octavo as oc
from octavo.definitions.fallbacks import on_stop_of
from octavo.errors import InvalidDefinition
from octavo.release.manifests import document_name
from octavo.serving.predict import Predictor

WHY = "it turns away everybody in the south"


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version, for which a model is asked no more from the moment of `stop` on."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def stop(bench: Bench, on_stop: object = "reject", *, sequence: int = 2, **changes: Any) -> None:
    bench.publish(
        arm(publish_bundle(bench.project.artifacts)), sequence=sequence, stopped=WHY, on_stop=on_stop, **changes
    )


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(Predictor, "_run", fail)


@pytest.mark.usefixtures("no_model")
def test_a_stopped_deployment_says_that_it_is_stopped_and_why(served: Bench) -> None:
    stop(served)
    reply = served.caller.post(PATH, {"rows": [ROW]})
    assert (reply.status, reply.json["code"]) == (503, "stopped")
    assert WHY in reply.json["detail"]
    assert "until a person starts it again" in reply.json["detail"]
    assert served.records == []
    assert served.watcher.status.deployments[DEPLOYMENT].stopped == WHY


@pytest.mark.usefixtures("no_model")
def test_the_declared_constant_answers_and_is_recorded_as_what_it_is(served: Bench) -> None:
    stop(served, oc.fallback(0.5))
    answer = served.predict(*[ROW] * 3)
    assert answer["degraded"]
    assert [(one["value"], one["arm"]) for one in answer["predictions"]] == [(0.5, "fallback")] * 3
    assert [(record.arm, record.output) for record in served.records] == [("fallback", 0.5)] * 3


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("name", sorted(DOORS))
def test_every_door_is_shut(served: Bench, name: str) -> None:
    stop(served)
    door = DOORS[name]
    body, headers = door.body([ROW])
    reply = served.caller.post(door.path, body, **headers)
    assert reply.status == 503, reply.body
    assert WHY in reply.body.decode()


@pytest.mark.usefixtures("no_model")
def test_one_version_of_it_is_not_asked_either(served: Bench) -> None:
    stop(served)
    body = {"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64", "data": [1.0]}]}
    reply = served.caller.post(f"/v2/models/{DEPLOYMENT}/versions/1/infer", body)
    assert (reply.status, WHY in reply.body.decode()) == (503, True)


def test_reasons_of_a_constant_are_none(served: Bench) -> None:
    stop(served, oc.fallback(0.5))
    reply = served.caller.post(f"{PATH}?explain=true", {"rows": [ROW]})
    assert reply.status == 200
    assert "reasons" not in reply.json["predictions"][0]


def test_the_shadow_of_a_stopped_deployment_sees_nothing(served: Bench) -> None:
    digest = publish_bundle(served.project.artifacts, weights=[1.0, 0.0, 0.0, 0.0, 0.0])
    live = arm(publish_bundle(served.project.artifacts))
    shadow = arm(digest, role="shadow", version=2, percent=0)
    served.publish(live, shadow, sequence=2, stopped=WHY, on_stop=oc.fallback(1))
    served.predict(ROW)
    assert [record.arm for record in served.records] == ["fallback"]


def test_it_answers_again_once_it_is_started(served: Bench) -> None:
    stop(served)
    served.publish(arm(publish_bundle(served.project.artifacts)), sequence=3)
    assert "arm" not in served.predict(ROW)["predictions"][0]


def test_an_older_manifest_does_not_end_a_stop(served: Bench) -> None:
    stop(served, sequence=5)
    served.publish(arm(publish_bundle(served.project.artifacts)), sequence=4)
    assert served.caller.post(PATH, {"rows": [ROW]}).status == 503


def test_a_stop_outlives_a_restart_without_any_store(served: Bench) -> None:
    stop(served)
    served.project.artifacts.published = lambda name: None  # type: ignore[method-assign]  # the store is lost
    again = Bench(served.project)
    again.watcher.restore()
    again.watcher.look()
    reply = again.caller.post(PATH, {"rows": [ROW]})
    assert (reply.status, reply.json["code"]) == (503, "stopped")


def test_a_stop_is_applied_though_a_version_that_it_names_cannot_be(served: Bench) -> None:
    gone = arm("sha256:" + "0" * 64, version=2)
    served.publish(gone, sequence=2, stopped=WHY, on_stop="reject")
    assert served.caller.post(PATH, {"rows": [ROW]}).status == 503
    assert served.watcher.status.deployments[DEPLOYMENT].sequence == 2


def test_a_stop_is_applied_where_nothing_was_served_yet(bench: Bench) -> None:
    bench.publish(arm("sha256:" + "0" * 64), stopped=WHY, on_stop=oc.fallback(1))
    reply = bench.caller.post(PATH, {"rows": [ROW]})
    assert (reply.status, reply.json["code"]) == (503, "stopped")
    bench.publish(arm(publish_bundle(bench.project.artifacts)), sequence=2)
    assert bench.predict(ROW)["predictions"]


def test_a_stop_that_is_not_signed_by_the_project_is_none(served: Bench, tmp_path: Any) -> None:
    name = document_name(DEPLOYMENT)
    before = served.project.artifacts.published(name)
    stop(served)
    forged = served.project.artifacts.published(name)
    assert before is not None
    assert forged is not None
    served.project.artifacts.publish(name, forged.replace(b'"value":"', b'"value":"A', 1))
    again = Bench(served.project)
    again.watcher.look()
    assert again.watcher.status.deployments[DEPLOYMENT].stopped == ""


def test_what_is_done_on_a_stop_is_declared() -> None:
    constant = oc.fallback(1)
    assert on_stop_of(None, "predict", deployment="eta") == "reject"
    assert on_stop_of(None, constant, deployment="eta") == constant
    assert on_stop_of("reject", constant, deployment="eta") == "reject"
    assert on_stop_of(constant, "reject", deployment="eta") == constant
    with pytest.raises(InvalidDefinition, match="on_stop 'predict' is neither"):
        on_stop_of("predict", "predict", deployment="eta")


def test_a_stop_does_not_wait_for_a_model_that_takes_long_to_load(served: Bench) -> None:
    watcher, is_loading, may_go_on = served.watcher, threading.Event(), threading.Event()
    load = watcher._fleet.load

    def slowly(one: Any, *more: Any) -> Any:
        if one.version == 7:
            is_loading.set()
            assert may_go_on.wait(30)
        return load(one, *more)

    watcher._fleet.load = slowly  # type: ignore[method-assign]  # a model of many gigabytes
    digest = publish_bundle(served.project.artifacts)
    served.project.publish(manifest(arm(digest, version=7), sequence=2))
    watcher.start()
    try:
        assert is_loading.wait(30)
        served.project.publish(manifest(arm(digest, version=7), sequence=3, stopped=WHY))
        deadline_s = time.monotonic() + 30
        while served.caller.post(PATH, {"rows": [ROW]}).status != 503:
            assert time.monotonic() < deadline_s, "it is not stopped"
            time.sleep(0.02)
        may_go_on.set()
        while watcher.status.deployments[DEPLOYMENT].sequence != 3:
            assert served.caller.post(PATH, {"rows": [ROW]}).status == 503, "what was loaded answers nevertheless"
            assert time.monotonic() < deadline_s, "the stop is not applied"
    finally:
        may_go_on.set()
        watcher.stop()
    served.publish(arm(digest), sequence=4)
    assert served.predict(ROW)["predictions"]
