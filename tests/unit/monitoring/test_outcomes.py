"""Outcomes on their way in: what is accepted, what is refused, and which one counts."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.monitoring.scenes import START, Scene, draw

from octavo.errors import IntegrityError, InvalidRequest, LimitExceeded
from octavo.monitoring.matured import outcomes_of
from octavo.monitoring.outcomes import MOST_ROWS, OutcomeRow, record_outcomes, ship_outcomes

PREDICTION = "0140b0a2-8f00-7abc-8def-0123456789ab"
GOOD = OutcomeRow(prediction=PREDICTION, value=1.5)


def record(scene: Scene, *rows: OutcomeRow) -> int:
    return record_outcomes(rows, stream=scene.stores.stream, clock=scene.clock)


def rows_of(scene: Scene) -> list[dict[str, object]]:
    while ship_outcomes(scene.stores.stream, scene.stores.tables):
        pass
    return scene.stores.tables.query("SELECT * FROM o ORDER BY sequence", tables={"o": "outcomes"}).to_pylist()


def refusal(row: OutcomeRow) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        record(Scene(), GOOD, row)
    return raised.value


def test_an_outcome_comes_into_the_table_known_now_unless_told_otherwise() -> None:
    scene = Scene()
    assert record(scene, GOOD, OutcomeRow(prediction=PREDICTION, value=2, known_at=START - timedelta(1), id="x")) == 2
    first, second = rows_of(scene)
    assert (first["prediction"], first["value"], first["known_at"], first["received_at"]) == (
        PREDICTION,
        1.5,
        START,
        START,
    )
    assert (second["id"], second["value"], second["known_at"]) == ("x", 2.0, START - timedelta(1))


def test_an_outcome_has_the_same_id_each_time_that_it_is_sent() -> None:
    scene = Scene()
    known = OutcomeRow(prediction=PREDICTION, value=1.5, known_at=START)
    record(scene, known, known)
    scene.go(timedelta(hours=1))
    record(scene, known, OutcomeRow(prediction=PREDICTION, value=1.6, known_at=START))
    ids = [row["id"] for row in rows_of(scene)]
    assert ids[0] == ids[1] == ids[2] != ids[3]


def test_a_prediction_id_that_cannot_be_one_is_named_with_its_row() -> None:
    for wrong in ("", "p1", PREDICTION.upper(), PREDICTION + "\n", "é" * 36):
        error = refusal(OutcomeRow(prediction=wrong, value=1.0))
        assert error.field == "rows[1].prediction"


def test_a_value_that_is_no_sensible_number_is_refused() -> None:
    for wrong in (math.nan, math.inf, -math.inf, 1e200):
        assert refusal(OutcomeRow(prediction=PREDICTION, value=wrong)).field == "rows[1].value"


def test_a_time_that_cannot_be_is_refused() -> None:
    for wrong in (START + timedelta(seconds=301), datetime(1850, 1, 1, tzinfo=UTC), START.replace(tzinfo=None)):
        error = refusal(OutcomeRow(prediction=PREDICTION, value=1.0, known_at=wrong))
        assert error.field == "rows[1].known_at"
        assert error.fix


def test_a_clock_a_little_ahead_is_forgiven() -> None:
    assert record(Scene(), OutcomeRow(prediction=PREDICTION, value=1.0, known_at=START + timedelta(seconds=300))) == 1


def test_an_id_that_cannot_be_one_is_refused() -> None:
    for wrong in ("", "a" * 201, "a\nb", "\ud800"):
        assert refusal(OutcomeRow(prediction=PREDICTION, value=1.0, id=wrong)).field == "rows[1].id"


def test_of_a_request_with_a_wrong_row_nothing_is_kept() -> None:
    scene = Scene()
    with pytest.raises(InvalidRequest):
        record(scene, GOOD, OutcomeRow(prediction="p", value=1.0))
    assert scene.stores.stream.end("outcomes") == 0


def test_none_and_too_many_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        record(Scene())
    with pytest.raises(LimitExceeded):
        record(Scene(), *[GOOD] * (MOST_ROWS + 1))


def test_a_large_request_is_one_step_in_several_payloads() -> None:
    scene = Scene()
    assert record(scene, *[GOOD] * 10_000) == 10_000
    assert scene.stores.stream.end("outcomes") == 3
    assert len(rows_of(scene)) == 10_000


def test_what_are_no_outcomes_stops_the_shipping_with_its_place() -> None:
    scene = Scene()
    scene.stores.stream.publish("outcomes", [b"\x01"])
    with pytest.raises(IntegrityError, match="payload 0 of the topic 'outcomes'"):
        ship_outcomes(scene.stores.stream, scene.stores.tables)


def test_the_outcome_known_last_counts_even_if_it_came_first() -> None:
    scene = Scene()
    [prediction] = scene.predict(scene.register(), draw(scene.random, 1))
    scene.tell({prediction: 7.0}, known_at=START + timedelta(minutes=30))
    scene.tell({prediction: 5.0}, known_at=START + timedelta(minutes=10))
    assert outcomes_of(scene.stores.tables, [prediction]) == {prediction: 7.0}


def test_of_outcomes_known_at_one_moment_the_one_sent_last_counts() -> None:
    scene = Scene()
    record(scene, OutcomeRow(prediction=PREDICTION, value=5.0), OutcomeRow(prediction=PREDICTION, value=7.0))
    record(scene, OutcomeRow(prediction=PREDICTION, value=6.0))
    rows_of(scene)
    assert outcomes_of(scene.stores.tables, [PREDICTION]) == {PREDICTION: 6.0}
