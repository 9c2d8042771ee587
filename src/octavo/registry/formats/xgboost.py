"""XGBoost: its own JSON, and compilation to ONNX.

Its thresholds are float32 and part what is below them from the rest, so a compiled node tries the next smaller float32.
A model that was stopped early is kept without the rounds after its best one, as it predicts without them.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import IntegrityError, MissingExtra, TrainingFailed
from octavo.registry.formats import Floats, Outputs
from octavo.registry.formats.trees import TreeEnsemble, compile_trees
from octavo.training.frames import Words

_FILE = "model.json"
_IDENTITY = frozenset(
    {"reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror"}
)
_LOGISTIC = frozenset({"binary:logistic", "reg:logistic"})
_EXPONENTIAL = frozenset({"count:poisson", "reg:gamma", "reg:tweedie"})
_LEAF, _CATEGORICAL = -1, 1
_UNSEEN = -1.0


class XGBoost:
    """``XGBRegressor`` and ``XGBClassifier`` of two classes, with or without dropout, and their random forests."""

    name = "xgboost"
    serves = True

    def matches(self, estimator: Any) -> bool:
        kinds = {kind.__module__.partition(".")[0] for kind in type(estimator).__mro__}
        return "xgboost" in kinds and hasattr(estimator, "get_booster")

    def save(self, estimator: Any) -> dict[str, bytes]:
        return {_FILE: _raw(estimator)}

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        try:
            from xgboost import Booster
        except ImportError as error:
            raise MissingExtra("xgboost", "reading an XGBoost model") from error
        booster = Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(files[_FILE]))
        except ValueError as error:  # the library's own error is one
            raise IntegrityError(f"the file of an XGBoost model cannot be loaded: {error}; train it again") from error

        categories = list(words.by_place if words else ())

        def outputs(rows: npt.NDArray[Any]) -> Floats:
            if categories:
                rows = rows.copy()
                rows[:, categories] = np.where(rows[:, categories] < 0, np.nan, rows[:, categories])
            return np.asarray(booster.inplace_predict(rows, validate_features=False), dtype=np.float64)

        return outputs

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        learner = _learner(estimator)
        ensemble = TreeEnsemble()
        for tree, weight in _weighted_trees(learner):
            _add(ensemble, tree, weight=weight)
        transform, start = _transform(learner)
        ensemble.begin_tree()
        ensemble.leaf(start)
        return compile_trees(ensemble, n_inputs=n_inputs, transform=transform, extra="xgboost")

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        for tree, _ in _weighted_trees(_learner(estimator)):
            nodes = zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True)
            kinds = tree["split_type"]
            yield from (
                (column, threshold)
                for (left, column, threshold), kind in zip(nodes, kinds, strict=True)
                if left != _LEAF and kind != _CATEGORICAL
            )


def _raw(estimator: Any) -> bytes:
    booster = estimator.get_booster()
    best = booster.attr("best_iteration")
    return bytes((booster if best is None else booster[: int(best) + 1]).save_raw("json"))


def _learner(estimator: Any) -> dict[str, Any]:
    """What the library writes of a model.

    Raises
    ------
    TrainingFailed
        If it is no sum of trees, or reads some number as a missing value.
    """
    learner: dict[str, Any] = json.loads(_raw(estimator))["learner"]
    missing = getattr(estimator, "missing", math.nan)
    if missing is not None and not math.isnan(missing):
        raise TrainingFailed(f"XGBoost that reads {missing:g} as missing cannot be compiled; train with missing=nan")
    if learner["gradient_booster"]["name"] == "gblinear":
        raise TrainingFailed("XGBoost's linear booster cannot be compiled; use scikit-learn's linear models")
    if int(learner["learner_model_param"]["num_class"]) > 1 or int(learner["learner_model_param"]["num_target"]) > 1:
        raise TrainingFailed("XGBoost of several outputs cannot be compiled; the label is one number or two classes")
    return learner


def _weighted_trees(learner: dict[str, Any]) -> Iterable[tuple[dict[str, Any], float]]:
    """Each tree with what its leaves are multiplied by; other than 1 after dropout."""
    booster = learner["gradient_booster"]
    trees = booster.get("gbtree", booster)["model"]["trees"]
    return zip(trees, booster.get("weight_drop", [1.0] * len(trees)), strict=True)


def _transform(learner: dict[str, Any]) -> tuple[str, float]:
    """What becomes of the sum of the leaves: an operator's name, and where the sum starts."""
    objective = learner["objective"]["name"]
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    if objective in _IDENTITY:
        return "Identity", base
    if objective in _EXPONENTIAL:
        return "Exp", math.log(base)
    if objective in _LOGISTIC:
        return "Sigmoid", math.log(base / (1 - base))
    raise TrainingFailed(f"XGBoost's objective {objective!r} cannot be compiled; use a plain regression or binary one")


def _add(ensemble: TreeEnsemble, tree: dict[str, Any], *, weight: float) -> None:
    """Add a tree; a leaf's value stands where others have their threshold."""
    ensemble.begin_tree()
    children = list(zip(tree["left_children"], tree["right_children"], strict=True))
    nodes = zip(children, tree["split_indices"], tree["split_conditions"], tree["default_left"], strict=True)
    sets = _sets(tree)
    added: list[list[int]] = []
    for number, ((left, _), column, value, missing_is_left) in enumerate(nodes):
        if left == _LEAF:
            added.append([ensemble.leaf(value * weight)])
        elif number in sets:
            right = [*([] if missing_is_left else [_UNSEEN]), *sets[number]]
            added.append(ensemble.one_of(column, right, missing_is_true=not missing_is_left))
        else:
            below = float(np.nextafter(np.float32(value), np.float32(-np.inf)))
            added.append([ensemble.at_most(column, below, missing_is_true=bool(missing_is_left))])
    for number, (left, right) in enumerate(children):
        if left == _LEAF:
            continue
        true, false = (right, left) if number in sets else (left, right)
        ensemble.branch_all(added[number], true=added[true][0], false=added[false][0])


def _sets(tree: dict[str, Any]) -> dict[int, list[float]]:
    """The categories that go to the right, by the number of the node that asks for them."""
    starts = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {node: [float(one) for one in tree["categories"][start : start + size]] for node, start, size in starts}
