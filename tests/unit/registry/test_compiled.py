"""Compiled models over matrices."""

import numpy as np
import pytest
from tests.serving.bundles import linear_model

from octavo.errors import IntegrityError
from octavo.registry.compiled import CompiledModel


def test_a_compiled_model_answers_in_batches() -> None:
    model = CompiledModel(linear_model([1.0, 2.0, 3.0]))
    matrix = np.arange(60_000.0).reshape(20_000, 3) % 7
    assert np.allclose(model.predict(matrix), matrix @ [1.0, 2.0, 3.0])


def test_no_rows_have_no_answers() -> None:
    assert CompiledModel(linear_model([1.0])).predict(np.empty((0, 1))).shape == (0,)


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(IntegrityError, match="does not answer"):
        CompiledModel(linear_model([1.0, 2.0])).predict(np.ones((2, 4)))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(IntegrityError, match="cannot be loaded"):
        CompiledModel(b"not a model")


def test_rows_one_by_one_are_answered_each_by_itself() -> None:
    model = CompiledModel(linear_model([1.0, 2.0]))
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    kept = [model.predict(row[None]) for row in rows]
    assert [one.tolist() for one in kept] == [[5.0], [11.0], [17.0]], "an answer is not changed by the next one"
    with pytest.raises(IntegrityError):
        model.predict(np.ones((1, 4), np.float32))
