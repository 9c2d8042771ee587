"""A compiled model must answer as the native one, on rows made to tell them apart."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from octavo.errors import TrainingFailed
from octavo.registry.parity import TOLERANCE, Trial, hard_trials, prove_parity

Floats = npt.NDArray[np.float64]
REAL = np.arange(12, dtype=np.float64).reshape(4, 3)
HELD_OUT = Trial(kind="held-out rows", rows=REAL)


def double(rows: Floats) -> Floats:
    return np.nansum(rows, axis=1) * 2


def without_missing(rows: Floats) -> Floats:
    if np.isnan(rows).any():
        raise TrainingFailed("the estimator raised ValueError: Input contains NaN")
    return double(rows)


def rows_of(trials: Sequence[Trial], kind: str) -> Floats:
    return next(trial.rows for trial in trials if trial.kind == kind)


def test_rows_stand_on_both_sides_of_each_threshold() -> None:
    rows = rows_of(hard_trials(REAL, thresholds=[(1, 0.1)]), "inputs on and beside thresholds")
    at = np.float32(0.1)
    beside = {float(v) for v in (at, np.nextafter(at, np.float32(1)), np.nextafter(at, np.float32(-1)))}
    assert beside <= set(rows[:, 1].tolist())


def test_each_input_is_missing_once_alone_and_once_with_all() -> None:
    trials = hard_trials(REAL, thresholds=())
    assert np.isnan(rows_of(trials, "every input missing")).all()
    assert np.array_equal(np.isnan(rows_of(trials, "one input missing")), np.eye(3, dtype=bool))


def test_rows_reach_beyond_what_was_held_out() -> None:
    rows = rows_of(hard_trials(REAL, thresholds=()), "inputs at and beyond the ends of what was held out")
    assert (rows.min(axis=0) < REAL.min(axis=0)).all()
    assert (rows.max(axis=0) > REAL.max(axis=0)).all()


def test_every_value_that_is_tried_is_a_float32_that_can_be_sent() -> None:
    missing = np.full((2, 3), np.nan)
    for real in (REAL, missing, REAL * 1e38, np.full((2, 3), np.inf)):
        for trial in hard_trials(real, thresholds=[(0, 1e300), (1, np.inf), (2, -1e300)]):
            known = trial.rows[~np.isnan(trial.rows)]
            assert np.array_equal(known, known.astype(np.float32))
            assert np.isfinite(known).all()


def test_of_many_thresholds_the_same_ones_are_tried_each_time() -> None:
    many = [(place % 3, float(place)) for place in range(5_000)]
    first, again = (rows_of(hard_trials(REAL, thresholds=many), "inputs on and beside thresholds") for _ in range(2))
    assert len(first) == 6_001
    assert np.array_equal(first, again)


def test_equal_models_are_in_parity() -> None:
    trials = (HELD_OUT, *hard_trials(REAL, thresholds=[(0, 2.5)]))
    parity = prove_parity(trials, native=double, compiled=double)
    assert (parity.worst, parity.refused) == (0.0, ())
    assert [trial.kind for trial in parity.proven] == [t.kind for t in trials if not t.may_overflow]


def test_the_worst_difference_is_given_as_a_share_of_what_is_allowed() -> None:
    parity = prove_parity([HELD_OUT], native=double, compiled=lambda rows: double(rows) * (1 + TOLERANCE / 4))
    assert parity.worst == pytest.approx(0.25)


def test_models_that_differ_in_one_row_are_refused_with_the_row_and_what_to_do() -> None:
    with pytest.raises(TrainingFailed, match=r"held-out rows, row 4 of 4.*return another estimator"):
        prove_parity([HELD_OUT], native=double, compiled=lambda rows: double(rows) + (rows[:, 0] > 8))


@pytest.mark.parametrize("answer", [np.nan, np.inf, -np.inf])
def test_a_compiled_model_that_gives_no_number_is_out_of_parity(answer: float) -> None:
    with pytest.raises(TrainingFailed, match="held-out rows"):
        prove_parity([HELD_OUT], native=double, compiled=lambda rows: double(rows) * answer)


def test_a_compiled_model_may_overflow_where_no_answer_would_be_served() -> None:
    def float32(rows: Floats) -> Floats:
        with np.errstate(over="ignore"):
            return (rows.sum(axis=1).astype(np.float32) * np.float32(2)).astype(np.float64)

    largest = Trial(kind="the largest numbers", rows=np.full((1, 3), 3e38), may_overflow=True)
    assert not np.isfinite(float32(largest.rows)).any()
    assert prove_parity([HELD_OUT, largest], native=double, compiled=float32).proven == (HELD_OUT,)


def test_a_finite_answer_is_never_excused_as_an_overflow() -> None:
    largest = Trial(kind="the largest numbers", rows=np.full((1, 3), 3e38), may_overflow=True)
    with pytest.raises(TrainingFailed, match="the largest numbers"):
        prove_parity([HELD_OUT, largest], native=double, compiled=lambda rows: np.clip(double(rows), -1e30, 1e30))


def test_rows_that_the_trained_model_refuses_are_named_and_no_golden_ones() -> None:
    trials = (HELD_OUT, *hard_trials(REAL, thresholds=()))
    parity = prove_parity(trials, native=without_missing, compiled=double)
    assert parity.refused == ("every input missing", "one input missing")
    assert not any(np.isnan(trial.rows).any() for trial in parity.proven)


def test_a_model_may_refuse_what_no_float32_can_count() -> None:
    def small(rows: Floats) -> Floats:
        if np.nanmax(np.abs(rows)) > 1e38:
            raise TrainingFailed("the estimator raised ValueError: value too large")
        return double(rows)

    largest = Trial(kind="the largest numbers", rows=np.full((1, 3), 3e38), may_overflow=True)
    assert prove_parity([HELD_OUT, largest], native=small, compiled=double).refused == ()


def test_a_model_that_refuses_the_held_out_rows_themselves_is_refused() -> None:
    missing = Trial(kind="held-out rows", rows=np.full((1, 3), np.nan))
    with pytest.raises(TrainingFailed, match="Input contains NaN"):
        prove_parity([missing], native=without_missing, compiled=double)
