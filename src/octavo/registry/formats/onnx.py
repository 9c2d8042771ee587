"""ONNX as a training function returned it: kept as it is, and compiled by leaving one output of one column."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from octavo.definitions.models import Task
from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.formats import Outputs
from octavo.training.frames import Words
from octavo.training.onnx import OnnxEstimator

_FILE, _ANSWER = "given.onnx", "octavo_answer"
_OPSET, _OLDEST = 18, 11


class Onnx:
    """Any ``onnx.ModelProto`` that the runtime knows all operators of."""

    name = "onnx"
    serves = False

    def matches(self, estimator: Any) -> bool:
        return isinstance(estimator, OnnxEstimator)

    def save(self, estimator: Any) -> dict[str, bytes]:
        _parsed(estimator)
        return {_FILE: estimator.onnx}

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        try:
            return OnnxEstimator(files[_FILE]).predict
        except TrainingFailed as error:
            raise IntegrityError(error.message) from error

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        if words is not None:
            raise TrainingFailed(
                "a model given as ONNX takes numbers alone; make numbers of its categories in on-demand features"
            )
        model = _parsed(estimator)
        _check_width(model, n_inputs=n_inputs)
        _leave_one_column(model)
        return bytes(model.SerializeToString(deterministic=True))

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        return ()


def check_self_contained(model: Any) -> None:
    """Refuse a message that reads other files.

    Raises
    ------
    TrainingFailed
        If it does.
    """
    if any(tensor.data_location == tensor.EXTERNAL for tensor in tensors(model.graph)):
        raise TrainingFailed(
            "the ONNX model keeps its weights in other files; save it with save_as_external_data=False"
        )


def _parsed(estimator: Any) -> Any:
    import onnx

    model = onnx.load_from_string(estimator.onnx)
    check_self_contained(model)
    return model


def tensors(graph: Any) -> Iterator[Any]:
    """All constants of a graph and of those within its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors(inner)


def _check_width(model: Any, *, n_inputs: int) -> None:
    constants = {constant.name for constant in model.graph.initializer}
    (matrix,) = (one for one in model.graph.input if one.name not in constants)
    width = matrix.type.tensor_type.shape.dim[1].dim_value
    if width not in (0, n_inputs):
        raise TrainingFailed(f"the ONNX model takes {width} columns, but the model has {n_inputs} inputs")


def _leave_one_column(model: Any) -> None:
    """Leave the value, or the probability of class 1, as the only output: float32, shape (n_rows, 1)."""
    from onnx import TensorProto, helper

    graph, last = model.graph, model.graph.output[-1].name
    _check_opset(model)
    for name, value in (("octavo_rows_by_columns", [0, -1]), ("octavo_last_column", [-1])):
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(value)], value))
    graph.node.extend(
        (
            helper.make_node("Reshape", [last, "octavo_rows_by_columns"], ["octavo_columns"]),
            helper.make_node("Gather", ["octavo_columns", "octavo_last_column"], ["octavo_column"], axis=1),
            helper.make_node("Cast", ["octavo_column"], [_ANSWER], to=TensorProto.FLOAT),
        )
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(_ANSWER, TensorProto.FLOAT, [None, 1]))


def _check_opset(model: Any) -> None:
    """Refuse operators of long ago; a model of trees alone may have none of the general ones, and is given them."""
    from onnx import helper

    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not versions:
        model.opset_import.append(helper.make_opsetid("", _OPSET))
    elif versions[0] < _OLDEST:
        raise TrainingFailed(f"the ONNX model is of opset {versions[0]}; export it with opset {_OLDEST} or later")
