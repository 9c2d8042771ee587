"""Reasons are Shapley values: they add up, and where every order tells the same they are exact."""

from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from octavo.serving.reasons import reasons_of

Floats = npt.NDArray[np.float64]
NUMBERS = st.floats(-100, 100, width=32)


@st.composite
def questions(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Floats]:
    """A row, reference rows, and weights of each input."""
    n_inputs, n_reference = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    rows = draw(st.lists(st.lists(NUMBERS, min_size=n_inputs, max_size=n_inputs), min_size=2, max_size=n_reference + 1))
    weights = draw(st.lists(NUMBERS, min_size=n_inputs, max_size=n_inputs))
    return np.array(rows[0], np.float32), np.array(rows[1:], np.float32), np.array(weights)


def twisted(rows: Any) -> Floats:
    """A model in which every input changes what the others do."""
    return np.sin(np.asarray(rows, np.float64).sum(axis=1)) + np.asarray(rows, np.float64).prod(axis=1) / 1e6


@given(questions(), st.text(max_size=36))
def test_contributions_and_base_add_up_to_the_answer(question: Any, prediction: str) -> None:
    row, reference, _ = question
    found = reasons_of(twisted, row, reference=reference, prediction=prediction)
    np.testing.assert_allclose(found.base + found.contributions.sum(), twisted(row[None])[0], rtol=1e-9, atol=1e-7)


@given(questions())
def test_of_a_sum_each_part_contributes_its_distance_from_the_ordinary(question: Any) -> None:
    row, reference, weights = question
    found = reasons_of(lambda rows: rows.astype(np.float64) @ weights, row, reference=reference, prediction="a")
    wanted = weights * (row.astype(np.float64) - reference[:16].astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(found.contributions, wanted, rtol=1e-9, atol=1e-7)


@given(questions())
def test_an_input_that_the_model_does_not_look_at_contributes_nothing(question: Any) -> None:
    row, reference, _ = question
    found = reasons_of(lambda rows: twisted(rows[:, :-1]), row, reference=reference, prediction="a")
    assert found.contributions[-1] == 0


def test_they_are_near_the_exact_shapley_values_and_nearer_with_both_directions_of_an_order() -> None:
    random = np.random.default_rng(1)
    row, reference = random.normal(size=5).astype(np.float32), random.normal(size=(16, 5)).astype(np.float32)

    def pairwise(rows: Any) -> Floats:
        x = np.asarray(rows, np.float64)
        return x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] * 2 + x[:, 4]

    found = reasons_of(pairwise, row, reference=reference, prediction="one")
    np.testing.assert_allclose(found.contributions, exact(pairwise, row, reference), atol=1e-6)


def exact(run: Any, row: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Floats:
    """Over all orders and all reference rows."""
    total, orders = np.zeros(len(row)), list(permutations(range(len(row))))
    for start in reference:
        for order in orders:
            now = start.copy()
            for place in order:
                before = run(now[None])[0]
                now[place] = row[place]
                total[place] += run(now[None])[0] - before
    return total / (len(reference) * len(orders))


def test_the_same_prediction_has_the_same_reasons_and_another_has_its_own() -> None:
    random = np.random.default_rng(2)
    row, reference = random.normal(size=4).astype(np.float32), random.normal(size=(16, 4)).astype(np.float32)
    one, again, other = (
        reasons_of(twisted, row, reference=reference, prediction=prediction).contributions
        for prediction in ("0190-a", "0190-a", "0190-b")
    )
    assert (one == again).all()
    assert (one != other).any()


def test_what_is_missing_is_switched_like_any_other_value() -> None:
    row, reference = np.array([np.nan, 2.0], np.float32), np.array([[1.0, np.nan]], np.float32)
    found = reasons_of(
        lambda rows: np.where(np.isnan(rows), 10.0, rows).sum(axis=1), row, reference=reference, prediction="a"
    )
    assert found.base == 11.0
    assert found.contributions.tolist() == [9.0, -8.0]
