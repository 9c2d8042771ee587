"""Pipelines of scikit-learn over categories, compiled: linear models by tables of words, all else after them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.registry.formats.sklearn_columns import FIRST_WORD, MISSING, Line, Preparation, Table
from octavo.registry.formats.trees import INPUT, OUTPUT

Floats = npt.NDArray[np.float64]
_OPSET, _IR_VERSION = 18, 10
_INT64 = 7
_LINEAR = frozenset(
    {
        "BayesianRidge",
        "ElasticNet",
        "HuberRegressor",
        "Lasso",
        "LinearRegression",
        "LinearSVR",
        "LogisticRegression",
        "Ridge",
        "SGDRegressor",
    }
)


@dataclass(slots=True)
class Graph:
    """An ONNX graph under construction."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, given: Sequence[str], gives: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(given), [gives], **attributes))
        return gives

    def model(self, *, n_inputs: int, width: int = 1) -> Any:
        """The model of the graph, from `INPUT` to `OUTPUT`."""
        from onnx import TensorProto, helper

        graph = helper.make_graph(
            self.nodes,
            "prepared",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_inputs])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, width])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, producer_name="octavo", ir_version=_IR_VERSION)


def is_linear(estimator: Any) -> bool:
    """Whether the answer is a weighted sum of the prepared columns, or the logistic function of it."""
    return type(estimator).__name__ in _LINEAR and np.size(estimator.intercept_) == 1


def compile_linear(preparation: Preparation, last: Any, *, n_inputs: int, task: Task) -> bytes:
    """A linear model: each word of a category is worth a number, and each number has a weight."""
    graph, parts = Graph(), []
    bias, tables = float(np.ravel(last.intercept_)[0]), dict[int, Floats]()
    lines: list[tuple[Line, float]] = []
    for one, weight in zip(preparation.columns, np.ravel(last.coef_).tolist(), strict=True):
        if isinstance(one, Table):
            tables[one.column] = tables.get(one.column, 0.0) + weight * one.values
        elif weight:
            lines.append((one, weight))
            bias += weight * one.rest
    if lines:
        parts.append(_weigh(graph, lines))
    if tables:
        first, *others = tables.values()
        worth = _look_up(graph, list(tables), [first + bias, *others])
        total = graph.add("ReduceSum", [worth, graph.constant("by_row", np.array([0]))], "of_words_in_a_row")
        parts.append(graph.add("Reshape", [total, graph.constant("upright", np.array([-1, 1]))], "of_words"))
    else:
        parts.append(graph.constant("bias", np.array([bias], np.float32)))
    total = graph.add("Add", parts, "total") if lines else parts[0]
    graph.add("Sigmoid" if task is Task.BINARY else "Identity", [total], OUTPUT)
    return bytes(graph.model(n_inputs=n_inputs).SerializeToString(deterministic=True))


def compile_behind(preparation: Preparation, model: Any, *, n_inputs: int) -> bytes:
    """The prepared matrix, and behind it the ONNX model of the last step, which takes it."""
    from onnx import compose

    graph = Graph()
    columns = preparation.columns
    numbers = [place for place, one in enumerate(columns) if isinstance(one, Line)]
    others = [place for place, one in enumerate(columns) if isinstance(one, Table)]
    parts = []
    if numbers:
        parts.append(_prepare_numbers(graph, [one for one in columns if isinstance(one, Line)]))
    if others:
        tables = [one for one in columns if isinstance(one, Table)]
        worth = _look_up(graph, [one.column for one in tables], [one.values for one in tables])
        parts.append(graph.add("Transpose", [worth], "worth_by_row", perm=[1, 0]))
    joined = graph.add("Concat", parts, "joined", axis=1)
    graph.add("Gather", [joined, graph.constant("in_order", np.argsort([*numbers, *others]))], OUTPUT, axis=1)
    prepared = compose.add_prefix(graph.model(n_inputs=n_inputs, width=len(columns)), "prepared_", rename_inputs=False)
    prepared.ir_version = model.ir_version
    if not any(one.domain == "" for one in model.opset_import):
        model.opset_import.extend(prepared.opset_import)
    del prepared.opset_import[:]
    prepared.opset_import.extend(model.opset_import)
    whole = compose.merge_models(prepared, model, io_map=[(f"prepared_{OUTPUT}", INPUT)])
    return bytes(whole.SerializeToString(deterministic=True))


def _weigh(graph: Graph, lines: Sequence[tuple[Line, float]]) -> str:
    """The weighted sum of numbers, but for their rests, shape (n_rows, 1)."""
    columns, weights = zip(*lines, strict=True)
    given = known = _columns(graph, [line.column for line in columns], name="numbers")
    if any(line.origin for line in columns):
        known = graph.add("Sub", [given, _row(graph, "origins", [float(line.origin) for line in columns])], "shifted")
    if not all(np.isnan(line.missing) for line in columns):
        absent = graph.add("IsNaN", [given], "is_nan")
        filled = _row(graph, "filled", [(line.missing - line.rest) / line.slope for line in columns])
        known = graph.add("Where", [absent, filled, known], "known")
    slopes = np.array([[weight * line.slope] for line, weight in zip(columns, weights, strict=True)], np.float32)
    return graph.add("MatMul", [known, graph.constant("weights", slopes)], "of_numbers")


def _prepare_numbers(graph: Graph, lines: Sequence[Line]) -> str:
    """The prepared numbers, shape (n_rows, n_lines)."""
    given = _columns(graph, [line.column for line in lines], name="numbers")
    absent = graph.add("IsNaN", [given], "is_nan")
    shifted = graph.add("Sub", [given, _row(graph, "origins", [float(line.origin) for line in lines])], "shifted")
    scaled = graph.add("Mul", [shifted, _row(graph, "slopes", [line.slope for line in lines])], "scaled")
    placed = graph.add("Add", [scaled, _row(graph, "rests", [line.rest for line in lines])], "placed")
    return graph.add("Where", [absent, _row(graph, "filled", [line.missing for line in lines]), placed], "known")


def _look_up(graph: Graph, columns: Sequence[int], tables: Sequence[Floats]) -> str:
    """What each table has for the word of its column, shape (n_tables, n_rows), which is half the work."""
    given = graph.add("Transpose", [_columns(graph, columns, name="words_by_row")], "words", perm=[1, 0])
    starts = np.cumsum([0, *(len(table) for table in tables[:-1])]) + FIRST_WORD
    absent = graph.add("IsNaN", [given], "is_no_word")
    missing = graph.constant("missing", np.array([MISSING - FIRST_WORD], np.float32))
    places = graph.add("Where", [absent, missing, given], "places")
    whole = graph.add("Cast", [places], "whole_places", to=_INT64)
    within = graph.add("Add", [whole, graph.constant("starts", starts[:, None].astype(np.int64))], "within")
    return graph.add("Gather", [graph.constant("tables", np.concatenate(tables).astype(np.float32)), within], "worth")


def _columns(graph: Graph, columns: Sequence[int], *, name: str) -> str:
    """Some columns of what is given; those next to each other as a slice, which costs less."""
    if list(columns) == list(range(columns[0], columns[0] + len(columns))):
        bounds = [
            graph.constant(f"{name}_{what}", np.array([value]))
            for what, value in (("from", columns[0]), ("to", columns[0] + len(columns)), ("axis", 1))
        ]
        return graph.add("Slice", [INPUT, *bounds], name)
    return graph.add("Gather", [INPUT, graph.constant(f"{name}_of", np.array(columns))], name, axis=1)


def _row(graph: Graph, name: str, values: Sequence[float]) -> str:
    return graph.constant(name, np.array(values, np.float32))
