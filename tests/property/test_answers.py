"""What comes after a model against the same by hand, row by row."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.features.answers import with_answer
from tests.serving.bundles import CALIBRATED, CODE, PLAN_WITH_ANSWER, ROW, publish_bundle
from tests.serving.doors import DOORS
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

WORDS = ("air", "rail", "road")
INPUTS = ("distance", "by", "seats")
NUMBERS = st.floats(width=32) | st.sampled_from([math.nan, 0.0, -0.0, 2.0**100])
PLACES = st.sampled_from([math.nan, -1.0, 0.0, 1.0, 2.0])
ROWS = st.lists(st.tuples(st.floats(), NUMBERS, PLACES, NUMBERS), min_size=0, max_size=12)


@oc.after_model
def priced(by: Any, prediction: Any, distance: Any) -> Any:
    """Takes a word, the output and a number, in this order, and not all inputs."""
    surcharge = np.array([0.0 if word is None else float(len(word)) for word in by])
    return np.where(np.isnan(distance), prediction, np.minimum(prediction, distance)) + surcharge


def by_hand(output: float, distance: float, place: float) -> float:
    if not math.isfinite(output):
        return math.nan
    surcharge = 0.0 if math.isnan(place) or place < 0 else float(len(WORDS[int(place)]))
    answer = (output if math.isnan(distance) else min(output, distance)) + surcharge
    return answer if math.isfinite(answer) else math.nan


@settings(max_examples=200, deadline=None)
@given(rows=ROWS)
def test_each_row_is_answered_as_by_hand(rows: list[tuple[float, float, float, float]]) -> None:
    outputs = np.array([row[0] for row in rows], np.float64)
    matrix = np.array([row[1:] for row in rows], np.float32).reshape(len(rows), 3)
    answers = with_answer(lambda _: outputs, priced, inputs=INPUTS, categories={"by": WORDS})(matrix)
    expected = [by_hand(output, distance, place) for output, distance, place, _ in rows]
    np.testing.assert_array_equal(answers, np.array(expected, np.float64))
    assert answers.dtype == np.float64


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Serves a model that adds distance and seats, with a function after it."""
    made = make_bench(tmp_path_factory.mktemp("answers"))
    weights = [0.0, 0.0, 0.0, 1.0, -2.0]
    made.publish(
        arm(publish_bundle(made.project.artifacts, plan=PLAN_WITH_ANSWER, code=CODE + CALIBRATED, weights=weights))
    )
    return made


@pytest.mark.parametrize("door", sorted(DOORS))
@settings(max_examples=10, deadline=None)
@given(sent=st.lists(st.tuples(st.floats(-500, 2_000, width=32), st.integers(0, 500)), min_size=1, max_size=12))
def test_every_door_gives_the_answer(bench: Bench, door: str, sent: list[tuple[float, int]]) -> None:
    rows = [{**ROW, "distance": distance, "seats": seats} for distance, seats in sent]
    asked = DOORS[door]
    body, headers = asked.body(rows)
    reply = bench.caller.post(asked.path, body, **headers)
    expected = [min(max(distance - 2.0 * seats + 0.1 * distance, 0.0), 1_000.0) for distance, seats in sent]
    np.testing.assert_allclose(asked.values(reply), expected, rtol=1e-6, atol=1e-3)
