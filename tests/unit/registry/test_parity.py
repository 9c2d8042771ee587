"""A compiled model must answer as the native one, on rows made to tell them apart."""

import numpy as np
import pytest
from tests.serving.bundles import linear_model

from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.bundles import Golden, decode_golden
from octavo.registry.compiled import CompiledModel
from octavo.registry.golden import choose_rows, encode_golden
from octavo.registry.parity import TOLERANCE, adversarial_rows, check_parity

REAL = np.arange(12, dtype=np.float64).reshape(4, 3)


def test_adversarial_rows_stand_on_both_sides_of_each_threshold() -> None:
    rows = adversarial_rows(REAL, thresholds=[(1, 0.1)])
    at = np.float32(0.1)
    beside = {float(v) for v in (at, np.nextafter(at, np.float32(1)), np.nextafter(at, np.float32(-1)))}
    assert beside <= set(rows[:, 1].tolist())
    assert np.isnan(rows).all(axis=1).any()
    assert np.array_equal(rows, rows.astype(np.float32).astype(np.float64), equal_nan=True)


def test_equal_models_are_in_parity_and_different_ones_are_named() -> None:
    def double(rows):
        return rows.sum(axis=1) * 2

    assert check_parity(REAL, native=double, compiled=double) == 0.0
    with pytest.raises(TrainingFailed, match="row 3 of 4"):
        check_parity(REAL, native=double, compiled=lambda rows: double(rows) + (rows[:, 0] > 8))


def test_a_compiled_model_that_answers_nan_is_out_of_parity() -> None:
    with pytest.raises(TrainingFailed):
        check_parity(REAL, native=lambda rows: rows[:, 0], compiled=lambda rows: rows[:, 0] * np.nan)


def test_golden_rows_come_back_from_their_document() -> None:
    rows = choose_rows(REAL, np.array([[np.nan, np.inf, -np.inf]])).astype(np.float32)
    golden = Golden(rows=rows, expected=np.arange(len(rows), dtype=np.float64), tolerance=TOLERANCE)
    again = decode_golden(encode_golden(golden))
    assert np.array_equal(again.rows, rows, equal_nan=True)
    assert np.array_equal(again.expected, golden.expected)


def test_a_compiled_model_answers_in_batches_and_refuses_another_width() -> None:
    model = CompiledModel(linear_model([1.0, 2.0, 3.0]))
    many = np.ones((20_000, 3))
    assert np.allclose(model.predict(many), 6.0)
    assert model.predict(np.empty((0, 3))).shape == (0,)
    with pytest.raises(IntegrityError, match="does not answer"):
        model.predict(np.ones((2, 4)))
    with pytest.raises(IntegrityError, match="cannot be loaded"):
        CompiledModel(b"not a model")
