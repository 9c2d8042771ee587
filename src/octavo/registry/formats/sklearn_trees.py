"""scikit-learn's trees, forests and histogram boosting, as sums of trees.

skl2onnx loses where a forest sends missing values, and rounds the thresholds of histogram boosting.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.registry.formats.trees import TreeEnsemble, compile_trees, float32_below

_FORESTS = frozenset(
    f"{kind}{task}"
    for kind in ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees")
    for task in ("Regressor", "Classifier")
)
_BOOSTED = frozenset({"HistGradientBoostingRegressor", "HistGradientBoostingClassifier"})
_TRANSFORMS = {"IdentityLink": "Identity", "LogLink": "Exp", "LogitLink": "Sigmoid"}
_LEAF = -1


def is_of_trees(estimator: Any) -> bool:
    """Whether an estimator of scikit-learn is compiled here."""
    return type(estimator).__name__ in _FORESTS | _BOOSTED


def compile_sklearn_trees(estimator: Any, *, n_inputs: int, task: Task) -> bytes:
    """Compile: the mean of a forest's leaves (of the shares of class 1), or the sum of boosted ones through their link.

    Raises
    ------
    TrainingFailed
        If the estimator takes columns as categories.
    """
    ensemble = TreeEnsemble()
    if type(estimator).__name__ in _BOOSTED:
        return compile_trees(ensemble, n_inputs=n_inputs, transform=_add_boosted(ensemble, estimator))
    trees = list(_trees(estimator))
    for tree in trees:
        leaves = tree.value[:, 0, 1 if task is Task.BINARY else 0] / len(trees)
        children = tree.children_left, tree.children_right
        _add(ensemble, (*children, tree.feature, tree.threshold, tree.missing_go_to_left, leaves))
    return compile_trees(ensemble, n_inputs=n_inputs, transform="Identity")


def split_thresholds(estimator: Any) -> Iterator[tuple[int, float]]:
    """Column and threshold of each split of an estimator made of trees; none of any other."""
    for nodes in _boosted_nodes(estimator):
        splits = nodes[nodes["is_leaf"] == 0]
        yield from zip(splits["feature_idx"].tolist(), splits["num_threshold"].tolist(), strict=True)
    for tree in _trees(estimator):
        inner = tree.children_left != _LEAF
        yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)


def _trees(estimator: Any) -> Iterator[Any]:
    members = np.ravel(getattr(estimator, "estimators_", [estimator]))
    return (member.tree_ for member in members if hasattr(member, "tree_"))


def _boosted_nodes(estimator: Any) -> Iterator[Any]:
    return (predictor.nodes for step in getattr(estimator, "_predictors", ()) for predictor in step)


def _add_boosted(ensemble: TreeEnsemble, estimator: Any) -> str:
    """Add the trees and the value that they start from; returns what becomes of their sum."""
    kind, link = type(estimator).__name__, type(estimator._loss.link).__name__
    if estimator.is_categorical_ is not None or link not in _TRANSFORMS:
        what = "categorical_features" if link in _TRANSFORMS else f"the loss {estimator.loss!r}"
        raise TrainingFailed(f"{kind} with {what} cannot be compiled; train it without")
    ensemble.begin_tree()
    ensemble.leaf(float(np.ravel(estimator._baseline_prediction)[0]))
    for nodes in _boosted_nodes(estimator):
        left = np.where(nodes["is_leaf"], _LEAF, nodes["left"].astype(np.int64))
        columns = ("right", "feature_idx", "num_threshold", "missing_go_to_left", "value")
        _add(ensemble, (left, *(nodes[column] for column in columns)))
    return _TRANSFORMS[link]


def _add(ensemble: TreeEnsemble, nodes: tuple[Any, ...]) -> None:
    """Add a tree whose nodes keep their numbers: left and right child, column, threshold, missing to the left, leaf."""
    ensemble.begin_tree()
    rows = list(zip(*(column.tolist() for column in nodes), strict=True))
    for left, _, column, threshold, missing_is_left, leaf in rows:
        if left == _LEAF:
            ensemble.leaf(leaf)
        else:
            ensemble.at_most(column, float32_below(threshold), missing_is_true=bool(missing_is_left))
    for place, (left, right, *_) in enumerate(rows):
        if left != _LEAF:
            ensemble.branch(place, true=left, false=right)
