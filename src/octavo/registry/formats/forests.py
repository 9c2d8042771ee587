"""scikit-learn's trees and forests as sums of trees: skl2onnx forgets to which side of a split a missing value goes."""

from collections.abc import Iterator
from typing import Any

from octavo.definitions.models import Task
from octavo.registry.formats.trees import TreeEnsemble, compile_trees, float32_below

_ALONE = frozenset({"DecisionTreeRegressor", "DecisionTreeClassifier", "ExtraTreeRegressor", "ExtraTreeClassifier"})
_AVERAGED = frozenset(
    {"RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor", "ExtraTreesClassifier"}
)
_LEAF = -1


def is_forest(estimator: Any) -> bool:
    """Whether an estimator of scikit-learn is a tree, or answers the mean of its trees."""
    return type(estimator).__name__ in _ALONE | _AVERAGED


def compile_forest(estimator: Any, *, n_inputs: int, task: Task) -> bytes:
    """Compile: the mean of the leaves, for a classifier of two classes the mean share of class 1."""
    trees = list(_trees(estimator))
    ensemble = TreeEnsemble()
    for tree in trees:
        _add(ensemble, tree, share=1 / len(trees), task=task)
    return compile_trees(ensemble, n_inputs=n_inputs, transform="Identity")


def forest_thresholds(estimator: Any) -> Iterator[tuple[int, float]]:
    """Column and threshold of every split."""
    for tree in _trees(estimator):
        for column, threshold in zip(tree.feature.tolist(), tree.threshold.tolist(), strict=True):
            if column >= 0:
                yield column, threshold


def _trees(estimator: Any) -> Iterator[Any]:
    for one in getattr(estimator, "estimators_", [estimator]):
        yield one.tree_


def _add(ensemble: TreeEnsemble, tree: Any, *, share: float, task: Task) -> None:
    """Add a tree; its nodes keep their numbers."""
    leaves = (tree.value[:, 0, 1] if task is Task.BINARY else tree.value[:, 0, 0]) * share
    ensemble.begin_tree()
    nodes = (tree.children_left, tree.children_right, tree.feature, tree.threshold, tree.missing_go_to_left, leaves)
    for left, _, column, threshold, missing_left, leaf in zip(*(part.tolist() for part in nodes), strict=True):
        if left == _LEAF:
            ensemble.leaf(leaf)
        else:
            ensemble.at_most(column, float32_below(threshold), missing_is_true=bool(missing_left))
    for place, (left, right) in enumerate(zip(tree.children_left.tolist(), tree.children_right.tolist(), strict=True)):
        if left != _LEAF:
            ensemble.branch(place, true=left, false=right)
