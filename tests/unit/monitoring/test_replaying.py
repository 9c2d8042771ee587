"""Recorded requests, answered by a version that was not there."""

from pathlib import Path

import pytest
from tests.serving.bundles import publish_bundle
from tests.unit.monitoring.skewed import MINUTE, MODULE, Airport, declared, open_airport

from octavo.definitions.plans import plan_lookup
from octavo.monitoring.replaying import replay
from octavo.registry.gates.served import Replayed

MODEL = "arrival_delay"


@pytest.fixture
def airport(tmp_path: Path) -> Airport:
    """An airport that answered six requests; a prediction is the sum of a delay, a count, another and two distances."""
    opened = open_airport(tmp_path)
    opened.depart(10.0)
    opened.apply()
    opened.predict(6)
    opened.carry()
    return opened


def replayed(airport: Airport, module: str = MODULE, *, last: int = 100, **changes: object) -> Replayed:
    """What another version of the module says to what was asked."""
    plan = plan_lookup(declared(airport.folder, module).model(MODEL))
    digest = publish_bundle(airport.stores.artifacts, plan=plan, code=module, **changes)
    return replay(airport.context, MODEL, digest=digest, until=airport.now + MINUTE, last=last)


def test_the_same_version_answers_the_same(airport: Airport) -> None:
    found = replayed(airport)
    assert (found.asked, found.failed, found.skipped, found.why) == (6, 0, 0, "")
    assert found.answers == pytest.approx(found.given)
    assert found.given[0] == pytest.approx(10 + 1 + 10 + 200 + 100)


def test_a_version_that_answers_otherwise_is_told_apart(airport: Airport) -> None:
    found = replayed(airport, bias=0.5)
    assert found.answers - found.given == pytest.approx([0.5] * 6)


def test_only_the_newest_requests_are_asked_again(airport: Airport) -> None:
    assert replayed(airport, last=4).asked == 4


def test_functions_are_those_of_the_version(airport: Airport) -> None:
    found = replayed(airport, MODULE.replace("distance * 2.0", "distance * 3.0"))
    assert found.answers - found.given == pytest.approx([100.0] * 6)


def test_inputs_are_found_by_their_names(airport: Airport) -> None:
    turned = MODULE.replace(
        'features=[oc.mean("dep_delay", over="1h"), oc.count(over="1h"), oc.latest("dep_delay", ttl="30m")]',
        'features=[oc.count(over="1h"), oc.mean("dep_delay", over="1h")]',
    )
    found = replayed(airport, turned)
    assert found.failed == 0
    assert found.answers - found.given == pytest.approx([-10.0] * 6)


def test_a_version_that_refuses_what_callers_send_fails(airport: Airport) -> None:
    stricter = MODULE.replace(
        'oc.request("distance", oc.Float64)]', 'oc.request("distance", oc.Float64), oc.request("seats", oc.Float64)]'
    ).replace('"distance": oc.Float64,', '"distance": oc.Float64, "seats": oc.Float64,')
    found = replayed(airport, stricter)
    assert (found.asked, found.failed) == (6, 6)
    assert "seats" in found.why


def test_a_request_that_alone_is_refused_counts_alone(airport: Airport) -> None:
    airport.bench.predict({"origin": "JFK", "distance": 1_000.0})
    airport.carry()
    picky = MODULE.replace(
        "    return distance * 2.0",
        '    if (distance > 900).any():\n        raise ValueError("too far")\n    return distance * 2.0',
    )
    found = replayed(airport, picky)
    assert (found.asked, found.failed) == (7, 1)
    assert "too far" in found.why
    assert found.answers == pytest.approx(found.given)


def test_features_that_nobody_looked_up_then_cannot_be_replayed(airport: Airport) -> None:
    wider = MODULE.replace('oc.count(over="1h")', 'oc.count(over="1h"), oc.std("dep_delay", over="1h")')
    found = replayed(airport, wider)
    assert (found.asked, found.skipped) == (0, 6)
    assert "origin_delays__dep_delay_std_1h was not looked up then" in found.why


def test_without_predictions_nothing_is_replayed(tmp_path: Path) -> None:
    found = replayed(open_airport(tmp_path))
    assert found.asked == 0
    assert "no prediction of 'arrival_delay' was recorded yet" in found.why


def test_a_bundle_that_is_gone_is_passed_over(airport: Airport) -> None:
    digest = next(
        iter(
            airport.context.stores.tables.query("SELECT digest FROM predictions", tables={"predictions": "predictions"})
            .column("digest")
            .to_pylist()
        )
    )
    airport.stores.artifacts._bytes.pop(digest)  # type: ignore[attr-defined]  # as a damaged disk would
    found = replayed(airport, bias=1.0)
    assert (found.asked, found.skipped) == (0, 6)
    assert "gone" in found.why


AFTER = MODULE.replace(
    "@oc.model(",
    """@oc.after_model
def halved(prediction, distance):
    if (distance > 900).any():
        raise ValueError("too far")
    return prediction / 2 + distance


@oc.model(
    answer=halved,""",
)


def test_what_comes_after_the_model_makes_the_answer(airport: Airport) -> None:
    found = replayed(airport, AFTER)
    assert (found.asked, found.failed) == (6, 0)
    assert found.answers == pytest.approx(found.given / 2 + 100.0)


def test_only_those_requests_fail_on_which_it_does(airport: Airport) -> None:
    airport.bench.predict({"origin": "JFK", "distance": 1_000.0})
    airport.carry()
    found = replayed(airport, AFTER)
    assert (found.asked, found.failed) == (7, 1)
    assert "'halved', which comes after the model, raised ValueError: too far" in found.why
    assert found.answers == pytest.approx(found.given / 2 + 100.0)
