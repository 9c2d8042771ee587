"""What a deployment does while features cannot be read: predict from what is left, refuse, or answer a constant."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.serving.bundles import PLAN_OF_TESTS, ROW, publish_bundle
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import arm

import octavo as oc
from octavo.definitions.fallbacks import check_on_unread
from octavo.errors import InvalidDefinition
from octavo.features.values import OnlineValues
from octavo.serving.lookup import LookedUp
from octavo.serving.unread import lacking

DELAY = "origin_delays__dep_delay_mean_1h"
BROKEN = "from octavo import on_demand\n\n\n@on_demand\ndef hour(sched_dep):\n    raise OSError\n"


def serve(bench: Bench, on_unread: object, **changes: Any) -> None:
    bench.delays(3.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, **changes), percent=100), on_unread=on_unread)


def unplug(bench: Bench) -> None:
    bench.online.is_gone = True  # type: ignore[attr-defined]  # an Unplugged


def test_unless_declared_otherwise_the_model_predicts_from_what_is_left(bench: Bench) -> None:
    serve(bench, "predict")
    unplug(bench)
    answer = bench.predict(ROW)
    assert answer["degraded"]
    assert answer["predictions"][0]["features"][DELAY] == "unread"


def test_a_request_is_refused_with_the_names_of_what_cannot_be_read(bench: Bench) -> None:
    serve(bench, "reject")
    unplug(bench)
    reply = bench.caller.post(PATH, {"rows": [ROW]})
    assert reply.status == 503
    assert DELAY in reply.json["detail"]
    assert bench.records == []


@pytest.mark.parametrize("on_unread", ["reject", oc.fallback(7)])
def test_while_all_can_be_read_the_model_predicts(bench: Bench, on_unread: object) -> None:
    serve(bench, on_unread)
    [prediction] = bench.predict({**ROW, "origin": "never seen"})["predictions"]
    assert "arm" not in prediction


def test_a_constant_answers_and_says_so(bench: Bench) -> None:
    serve(bench, oc.fallback(7))
    unplug(bench)
    answer = bench.predict(*[ROW] * 3)
    assert answer["degraded"]
    assert [(one["value"], one["version"], one["arm"]) for one in answer["predictions"]] == [(7.0, 1, "fallback")] * 3


def test_a_constant_is_recorded_under_an_arm_of_its_own(bench: Bench) -> None:
    serve(bench, oc.fallback(7))
    unplug(bench)
    bench.predict(ROW)
    [record] = bench.records
    assert (record.arm, record.output) == ("fallback", 7.0)


def test_a_constant_answers_also_where_a_function_fails(bench: Bench) -> None:
    serve(bench, oc.fallback(7), code=BROKEN)
    unplug(bench)
    assert bench.predict(ROW)["predictions"][0]["value"] == 7.0


def test_what_a_default_stands_in_for_is_not_lacking() -> None:
    [view] = PLAN_OF_TESTS.views
    first, second = view.features
    views = (replace(view, features=(replace(first, default=0.0), second)),)
    nothing = OnlineValues(*[np.empty((0, 0), np.float32)] * 3)
    assert lacking(replace(PLAN_OF_TESTS, views=views), LookedUp(nothing, True, view.inputs)) == [view.inputs[1]]


@pytest.mark.parametrize("on_unread", ["ignore", 7.0, None])
def test_what_a_deployment_may_declare_is_checked(on_unread: object) -> None:
    with pytest.raises(InvalidDefinition, match="neither 'predict', 'reject' nor"):
        check_on_unread(on_unread, deployment="eta")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "7", True, None])
def test_a_constant_is_a_finite_number(value: Any) -> None:
    with pytest.raises(InvalidDefinition, match="no finite number"):
        oc.fallback(value)
