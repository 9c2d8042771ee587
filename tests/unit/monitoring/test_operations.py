"""The slice's operations, through the dispatcher as every door calls them."""

from datetime import timedelta

import msgspec
import pytest
from tests.unit.monitoring.scenes import INPUTS, MEAN, START, Scene, draw

from octavo.errors import InvalidRequest, NotAllowed, NotFound
from octavo.monitoring.operations import (
    CompareVersions,
    ListIncidents,
    ListPredictions,
    LookNow,
    RecordOutcomes,
    ResolveIncident,
    ShowExperiment,
    ShowIncident,
    ShowMonitoring,
    ShowPrediction,
    ShowTraffic,
    operations,
)
from octavo.monitoring.outcomes import OutcomeRow
from octavo.operations import SYSTEM, Dispatcher, Principal

NOBODY = Principal(name="nobody", permissions=frozenset())


def door(scene: Scene) -> Dispatcher:
    return Dispatcher(operations, scene.context)


def call(scene: Scene, request: object) -> object:
    return door(scene).call(request, SYSTEM)


def drifted() -> Scene:
    scene = Scene()
    scene.predict(scene.live(), draw(scene.random, 500, mean=22))
    scene.look()
    return scene


@pytest.mark.parametrize(
    "request_",
    [
        RecordOutcomes(rows=()), ListPredictions(deployment="eta"), ShowPrediction(prediction="p"),
        LookNow(deployment="eta"), ShowMonitoring(deployment="eta"), ShowTraffic(deployment="eta"),
        ShowExperiment(deployment="eta"),
        CompareVersions(deployment="eta", version=1), ListIncidents(), ShowIncident(incident="i"),
        ResolveIncident(incident="i"),
    ],
    ids=lambda request: type(request).__name__,
)  # fmt: skip
def test_nothing_is_done_for_who_may_not(request_: object) -> None:
    with pytest.raises(NotAllowed):
        door(Scene()).call(request_, NOBODY)


def test_every_operation_has_a_summary_and_a_request_that_says_what_it_is() -> None:
    assert len(list(operations)) == 12
    for operation in operations:
        assert operation.summary.endswith(".")
        assert operation.request.__doc__


def test_before_there_is_any_table_answers_are_empty() -> None:
    scene = Scene()
    assert call(scene, ListPredictions(deployment="eta")) == ()
    assert call(scene, ListIncidents()) == ()
    assert call(scene, ShowTraffic(deployment="eta")).hours == ()
    details = call(scene, ShowMonitoring(deployment="eta"))
    assert (details.looks, details.version, details.metric, details.held_out) == ((), None, "mae", None)
    assert call(scene, LookNow(deployment="eta")).version is None
    with pytest.raises(NotFound, match="prediction"):
        call(scene, ShowPrediction(prediction="p"))


def test_an_unknown_deployment_is_not_found() -> None:
    for request in (ListPredictions, LookNow, ShowMonitoring, ShowTraffic):
        with pytest.raises(NotFound, match="did you mean 'late'"):
            call(Scene(), request(deployment="lat"))


def test_what_was_called_by_an_alias_is_listed_under_its_name() -> None:
    assert call(Scene(), ListPredictions(deployment="is_late@champion")) == ()
    with pytest.raises(NotFound, match="did you mean 'is_late'"):
        call(Scene(), ListPredictions(deployment="is_lat@champion"))


def test_a_limit_out_of_range_is_refused() -> None:
    for request in (ListPredictions(deployment="eta", limit=0), ListIncidents(limit=1_001)):
        with pytest.raises(InvalidRequest, match="limit"):
            call(Scene(), request)


def test_outcomes_are_accepted_through_the_door() -> None:
    scene = Scene()
    rows = (OutcomeRow(prediction="0140b0a2-8f00-7abc-8def-0123456789ab", value=3.0),) * 2
    assert call(scene, RecordOutcomes(rows=rows)).rows == 2


def test_monitoring_shows_looks_in_order_with_what_they_compare_with() -> None:
    scene = drifted()
    scene.go(timedelta(hours=1))
    newest = call(scene, LookNow(deployment="eta"))
    details = call(scene, ShowMonitoring(deployment="eta"))
    assert details.looks[-1] == newest
    assert [look.at for look in details.looks] == sorted(look.at for look in details.looks)
    assert details.held_out.value == pytest.approx(1.6, abs=0.1)
    assert (details.version, details.metric, details.thresholds.drift) == (1, "mae", 0.25)
    assert [incident.incident_kind for incident in details.incidents] == ["drift"]
    assert len(call(scene, ShowMonitoring(deployment="eta", limit=1)).looks) == 1


def test_monitoring_is_shown_also_when_the_live_bundle_is_gone() -> None:
    scene = drifted()
    scene.artifacts._bytes.clear()
    details = call(scene, ShowMonitoring(deployment="eta"))
    assert (len(details.looks), details.metric, details.held_out) == (1, None, None)


def test_every_answer_is_json_and_comes_back_from_it() -> None:
    scene = drifted()
    for request in (LookNow(deployment="eta"), ShowMonitoring(deployment="eta"), ShowTraffic(deployment="eta")):
        answer = call(scene, request)
        assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer


def test_incidents_are_listed_by_whether_they_are_open() -> None:
    scene = drifted()
    [incident] = call(scene, ListIncidents(deployment="eta", open=True))
    assert call(scene, ListIncidents(deployment="eta", open=False)) == ()
    assert call(scene, ShowIncident(incident=incident.id)) == incident
    done = call(scene, ResolveIncident(incident=incident.id, cause="a new sensor"))
    assert (done.cause, done.timeline[-1].text) == ("a new sensor", "resolved by system: a new sensor")
    assert call(scene, ListIncidents(open=True)) == ()
    assert call(scene, ListIncidents(open=False)) == call(scene, ListIncidents()) == (done,)
    assert call(scene, ListIncidents(deployment="late")) == ()


def test_traffic_of_too_long_a_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="too much"):
        call(Scene(), ShowTraffic(deployment="eta", since=START - timedelta(days=100)))


def test_a_look_names_every_input() -> None:
    look = call(drifted(), LookNow(deployment="eta"))
    assert {i.name for i in look.inputs} == set(INPUTS)
    assert look.inputs[0].name == MEAN
