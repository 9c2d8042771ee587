"""Models that a training function returns as ONNX: what they must take and give."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from octavo.errors import TrainingFailed
from octavo.training.onnx import OnnxEstimator, as_estimator

ROWS = np.array([[1.0, -2.0], [3.0, 4.0]])


def identity(
    shape: list[int | None],
    *,
    gives: list[int | None] | None = None,
    dtype: int = TensorProto.FLOAT,
    op: str = "Identity",
) -> Any:
    """A model that gives back what it takes."""
    graph = helper.make_graph(
        [helper.make_node(op, ["X"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("X", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_a_message_of_onnx_is_made_an_estimator_and_all_else_is_left() -> None:
    assert isinstance(as_estimator(identity([None, 1])), OnnxEstimator)
    other = object()
    assert as_estimator(other) is other


def test_one_column_is_the_value() -> None:
    assert as_estimator(identity([None, 1])).predict([[1.5], [np.nan], [-2.0]]).tolist() == pytest.approx(
        [1.5, np.nan, -2.0], nan_ok=True
    )


def test_of_two_columns_the_second_is_the_probability_of_class_1() -> None:
    assert as_estimator(identity([None, 2])).predict(ROWS).tolist() == [-2.0, 4.0]


def test_no_rows_have_no_answers() -> None:
    assert as_estimator(identity([None, 1])).predict(np.empty((0, 1))).shape == (0,)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (identity([4, 1]), "takes exactly 4 rows; export it with a first dimension that is dynamic"),
        (identity([None]), "must take one matrix of float32"),
        (identity([None, 1], dtype=TensorProto.DOUBLE), "must take one matrix of float32"),
        (identity([None, 3]), "one number for each row, or the probabilities of classes 0 and 1"),
        (identity([None, 1], op="Nonsense"), r"cannot be loaded.*onnx\.checker"),
    ],
)
def test_a_model_of_another_shape_is_refused_with_what_is_wanted(model: onnx.ModelProto, match: str) -> None:
    with pytest.raises(TrainingFailed, match=f"(?s){match}"):
        as_estimator(model)


def test_a_model_that_turns_out_to_give_more_columns_is_refused() -> None:
    model = as_estimator(identity([None, None]))
    with pytest.raises(TrainingFailed, match="answers 3 numbers for each row"):
        model.predict(np.ones((2, 3)))
