"""scikit-learn: kept by skops; compiled to ONNX, trees by ourselves and all else by skl2onnx; linear models as sums."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import MissingExtra, TrainingFailed
from octavo.registry.formats import Floats, Outputs
from octavo.registry.formats.linear import write_linear
from octavo.registry.formats.sklearn_columns import preparation_of
from octavo.registry.formats.sklearn_files import TRUSTED, asked_types, dump, load
from octavo.registry.formats.sklearn_linear import linear_model
from octavo.registry.formats.sklearn_prepared import compile_behind, compile_linear, is_linear
from octavo.registry.formats.sklearn_trees import (
    compile_prepared_trees,
    compile_sklearn_trees,
    is_of_trees,
    split_thresholds,
)
from octavo.registry.formats.sklearn_trust import FILE as TRUST
from octavo.registry.formats.sklearn_trust import encode_trust, trusted_types
from octavo.registry.formats.trees import INPUT, OUTPUT
from octavo.registry.forms import Form
from octavo.training.frames import Words

_FILE = "model.skops"
_REASON = 300
_OPSETS = {"": 18, "ai.onnx.ml": 3}


class ScikitLearn:
    """Regressors, and classifiers of two classes; pipelines too."""

    name = "sklearn"
    serves = True
    loops = Form.LINEAR

    def matches(self, estimator: Any) -> bool:
        return type(estimator).__module__.partition(".")[0] == "sklearn"

    def save(self, estimator: Any) -> dict[str, bytes]:
        data = dump(estimator)
        return {_FILE: data, TRUST: encode_trust(asked_types(data))}

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        estimator = load(files[_FILE], trusted=trusted_types(files.get(TRUST), known=TRUSTED))

        def outputs(matrix: npt.NDArray[Any]) -> Floats:
            exact = matrix.astype(np.float64)
            rows = exact if words is None else words.frame(exact, unseen_is_missing=False)
            if hasattr(estimator, "predict_proba"):
                return np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
            return np.asarray(estimator.predict(rows), dtype=np.float64).reshape(-1)

        return outputs

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        if words is not None:
            return _compile_words(estimator, words, n_inputs=n_inputs, task=task)
        if is_of_trees(estimator):
            return compile_sklearn_trees(estimator, n_inputs=n_inputs, task=task)
        return bytes(_converted(estimator, n_inputs=n_inputs, task=task).SerializeToString(deterministic=True))

    def to_loops(self, estimator: Any, *, n_inputs: int, words: Words | None = None) -> bytes:
        return write_linear(linear_model(estimator, n_inputs=n_inputs, words=words))

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        return split_thresholds(estimator)


def _compile_words(estimator: Any, words: Words, *, n_inputs: int, task: Task) -> bytes:
    """A pipeline that takes words."""
    found = preparation_of(estimator, words)
    if found is None:
        raise TrainingFailed(
            f"{type(estimator).__name__} cannot be compiled to ONNX: its steps do not treat each column by itself; "
            "prepare categories by OneHotEncoder, OrdinalEncoder or TargetEncoder, and numbers by imputing and scaling"
        )
    preparation, last = found
    if is_of_trees(last):
        return compile_prepared_trees(preparation, last, n_inputs=n_inputs, task=task)
    if is_linear(last):
        return compile_linear(preparation, last, n_inputs=n_inputs, task=task)
    return compile_behind(
        preparation, _converted(last, n_inputs=len(preparation.columns), task=task), n_inputs=n_inputs
    )


def _converted(estimator: Any, *, n_inputs: int, task: Task) -> Any:
    """What skl2onnx makes of an estimator of numbers."""
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType
    except ImportError as error:
        raise MissingExtra("sklearn", "compiling scikit-learn models to ONNX") from error
    options = {id(estimator): {"zipmap": False}} if task is Task.BINARY else None
    try:
        model = convert_sklearn(
            estimator,
            name="model",
            initial_types=[(INPUT, FloatTensorType([None, n_inputs]))],
            options=options,
            target_opset=_OPSETS,
        )
    except Exception as error:  # converters fail in any way, also by assertions
        kind, reason = type(estimator).__name__, str(error).partition("\n")[0][:_REASON]
        raise TrainingFailed(f"{kind} cannot be compiled to ONNX: {reason}; use another estimator") from error
    _keep_one_output(model, task=task)
    return model


def _keep_one_output(model: Any, *, task: Task) -> None:
    """Leave the value, or the probability of class 1, as the only output."""
    from onnx import TensorProto, helper

    graph = model.graph
    last = graph.output[-1].name
    if task is Task.BINARY:
        graph.initializer.append(helper.make_tensor("positive", TensorProto.INT64, [1], [1]))
        graph.node.append(helper.make_node("Gather", [last, "positive"], [OUTPUT], axis=1))
    else:
        graph.node.append(helper.make_node("Identity", [last], [OUTPUT]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1]))
