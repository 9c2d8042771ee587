"""Sums of decision trees as ONNX (operator TreeEnsembleRegressor of ai.onnx.ml, version 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from octavo.errors import MissingExtra

INPUT, OUTPUT = "inputs", "output"
_OPSET, _ML_OPSET, _IR_VERSION = 18, 3, 10
_WHOLE = "whole"
_NO_PLACE = -9.0
"""What no category is."""


@dataclass(slots=True)
class TreeEnsemble:
    """Trees under construction. Nodes are numbered within the tree that was begun last; its first node is its root.

    Attributes
    ----------
    truncated : set of int
        Columns whose values lose their fraction before any node sees them.
    """

    attributes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "nodes_treeids": [],
            "nodes_nodeids": [],
            "nodes_featureids": [],
            "nodes_modes": [],
            "nodes_values": [],
            "nodes_truenodeids": [],
            "nodes_falsenodeids": [],
            "nodes_missing_value_tracks_true": [],
            "target_treeids": [],
            "target_nodeids": [],
            "target_ids": [],
            "target_weights": [],
        }
    )
    truncated: set[int] = field(default_factory=set)
    trees: int = 0
    _start: int = 0

    def begin_tree(self) -> None:
        self.trees += 1
        self._start = len(self.attributes["nodes_nodeids"])

    def leaf(self, value: float) -> int:
        place = self._node("LEAF", column=0, value=0.0, missing_is_true=False)
        for name, item in (("treeids", self.trees - 1), ("nodeids", place), ("ids", 0), ("weights", value)):
            self.attributes[f"target_{name}"].append(item)
        return place

    def at_most(self, column: int, value: float, *, missing_is_true: bool) -> int:
        """A node that is true where the column is at most `value`; `branch` must follow."""
        return self._node("BRANCH_LEQ", column=column, value=value, missing_is_true=missing_is_true)

    def one_of(self, column: int, values: Sequence[float], *, missing_is_true: bool = False) -> list[int]:
        """Nodes that ask together whether the column is one of `values`; `branch_all` must follow."""
        asked = values or [_NO_PLACE]
        return [self._node("BRANCH_EQ", column=column, value=value, missing_is_true=missing_is_true) for value in asked]

    def branch(self, place: int, *, true: int, false: int) -> None:
        """Say where a node leads."""
        self.attributes["nodes_truenodeids"][self._start + place] = true
        self.attributes["nodes_falsenodeids"][self._start + place] = false

    def branch_all(self, places: Sequence[int], *, true: int, false: int) -> None:
        """Say where the nodes of `one_of` lead: each but the last asks the next one before it is false."""
        for place, following in zip(places, [*places[1:], false], strict=True):
            self.branch(place, true=true, false=following)

    def _node(self, mode: str, *, column: int, value: float, missing_is_true: bool) -> int:
        place = len(self.attributes["nodes_nodeids"]) - self._start
        for name, item in (
            ("treeids", self.trees - 1),
            ("nodeids", place),
            ("featureids", column),
            ("modes", mode),
            ("values", value),
            ("truenodeids", 0),
            ("falsenodeids", 0),
            ("missing_value_tracks_true", int(missing_is_true)),
        ):
            self.attributes[f"nodes_{name}"].append(item)
        return place


def compile_trees(ensemble: TreeEnsemble, *, n_inputs: int, transform: str, extra: str, scale: float = 1.0) -> bytes:
    """An ONNX model, always the same: the sum of the leaves, times `scale`, through an operator such as ``Sigmoid``.

    Raises
    ------
    MissingExtra
        If the library of ONNX is not installed; it comes with `extra`.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MissingExtra(extra, "compiling trees to ONNX") from error
    attributes: dict[str, Any] = dict(ensemble.attributes)
    attributes["target_weights"] = [float(np.float32(weight * scale)) for weight in attributes["target_weights"]]
    nodes = [
        *_truncating(ensemble.truncated, n_inputs=n_inputs),
        helper.make_node(
            "TreeEnsembleRegressor",
            [_WHOLE if ensemble.truncated else INPUT],
            ["sum"],
            domain="ai.onnx.ml",
            n_targets=1,
            aggregate_function="SUM",
            post_transform="NONE",
            **attributes,
        ),
        helper.make_node(transform, ["sum"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_inputs])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="octavo", ir_version=_IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


def float32_below(threshold: float) -> float:
    """The largest float32 that is at most `threshold`, so that a float32 is at most both or neither."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return float(near) if float(near) <= threshold else float(np.nextafter(near, np.float32(-np.inf)))


def _truncating(columns: set[int], *, n_inputs: int) -> list[Any]:
    """Nodes that round the values of some columns towards zero."""
    from onnx import TensorProto, helper

    if not columns:
        return []
    chosen = helper.make_tensor("chosen", TensorProto.BOOL, [n_inputs], [c in columns for c in range(n_inputs)])
    return [
        helper.make_node("Constant", [], ["chosen"], value=chosen),
        helper.make_node("Floor", [INPUT], ["floor"]),
        helper.make_node("Ceil", [INPUT], ["ceil"]),
        helper.make_node("Constant", [], ["zero"], value=helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])),
        helper.make_node("Less", [INPUT, "zero"], ["negative"]),
        helper.make_node("Where", ["negative", "ceil", "floor"], ["truncated"]),
        helper.make_node("Where", ["chosen", "truncated", INPUT], [_WHOLE]),
    ]
