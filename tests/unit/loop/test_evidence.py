"""Gates that ask what was served, told by the project's own log and audit."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.monitoring.skewed import MINUTE, Airport, open_airport
from tests.unit.monitoring.test_skew import corrupt

from octavo.clock import EPOCH
from octavo.loop.evidence import ServedHere
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes, ship_outcomes
from octavo.registry.gates.served import ServedLog
from octavo.registry.versions import ModelVersion

MODEL = "arrival_delay"


@pytest.fixture
def airport(tmp_path: Path) -> Airport:
    """An airport that answered once a flight had left."""
    opened = open_airport(tmp_path)
    opened.depart(10.0)
    opened.apply()
    opened.predict(3)
    opened.wait(MINUTE)
    opened.carry()
    return opened


def told(airport: Airport) -> ServedLog:
    return ServedHere(airport.context, MODEL)


def test_features_that_the_events_explain_show_no_skew(airport: Airport) -> None:
    found = told(airport).skew(last=100)
    assert (found.predictions, found.wrong) == (3, 0)
    assert found.values == 3 * 4  # three features, and a function of the request


def test_features_that_were_lost_on_the_way_are_told(airport: Airport) -> None:
    airport.wait(15 * MINUTE)
    corrupt(airport)
    airport.predict()
    airport.wait(MINUTE)
    airport.carry()
    found = told(airport).skew(last=100)
    assert (found.predictions, found.wrong) == (4, 3)
    assert "wrong in 1 of 4 values" in found.why
    assert not airport.incidents()


def test_where_nothing_is_live_nothing_is_audited(tmp_path: Path) -> None:
    opened = open_airport(tmp_path)
    elsewhere = replace(opened.context, project=replace(opened.context.project, deployments={}))
    assert ServedHere(elsewhere, MODEL).skew(last=10).why == "no deployment serves the model now"
    assert told(opened).skew(last=10).why == "no prediction was recorded yet"


def test_requests_are_replayed_until_now(airport: Airport) -> None:
    with airport.context.transaction() as tx:
        digest = tx.find(ModelVersion)[0].digest
    found = told(airport).replay(digest, last=2)
    assert (found.asked, found.failed) == (2, 0)
    assert found.answers == pytest.approx(found.given)


def test_answers_are_held_against_the_outcomes_that_are_known(airport: Airport) -> None:
    airport.wait(MINUTE)
    airport.predict()
    airport.wait(MINUTE)
    airport.carry()
    ids = airport.context.stores.tables.query(
        'SELECT id FROM predictions ORDER BY "at", id', tables={"predictions": "predictions"}
    )
    rows = [
        OutcomeRow(prediction=prediction, value=value, known_at=airport.now)
        for prediction, value in zip(ids.column("id").to_pylist()[1:], (7.0, 8.0, 9.0), strict=True)
    ]
    record_outcomes(rows, stream=airport.stores.stream, clock=airport.bench.clock)
    while ship_outcomes(airport.stores.stream, airport.stores.tables):
        pass
    with airport.context.transaction() as tx:
        digest = tx.find(ModelVersion)[0].digest
    found = told(airport).backtest(digest, since=EPOCH, last=100)
    assert found.labels.tolist() == [7.0, 8.0, 9.0]
    assert found.answers == pytest.approx(found.given)
    since = airport.now - 1.5 * MINUTE
    assert told(airport).backtest(digest, since=since, last=100).labels.tolist() == [9.0]
    later = told(airport).backtest(digest, since=airport.now, last=100)
    assert (len(later.labels), later.why) == (0, "no prediction of 'arrival_delay' was recorded yet")


def test_a_bundle_that_is_gone_answers_nothing_and_stops_nobody(airport: Airport) -> None:
    found = told(airport).replay(f"sha256:{'0' * 64}", last=10)
    assert found.asked == 0
    assert "gone from the artifacts" in found.why
