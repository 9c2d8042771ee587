"""scikit-learn's trees, forests and histogram boosting, also after imputing and scaling, as sums of trees.

skl2onnx loses where a forest sends missing values, rounds the thresholds of histogram boosting and prepares in float32.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.registry.formats.sklearn_steps import fold, parted
from octavo.registry.formats.trees import TreeEnsemble, compile_trees, float32_below

_FORESTS = frozenset(
    f"{kind}{task}"
    for kind in ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees")
    for task in ("Regressor", "Classifier")
)
_BOOSTED = frozenset({"HistGradientBoostingRegressor", "HistGradientBoostingClassifier"})
_TRANSFORMS = {"IdentityLink": "Identity", "LogLink": "Exp", "LogitLink": "Sigmoid"}
_LEAF = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Nodes:
    """The nodes of a tree, or of several; where `left` is `_LEAF`, a node is a leaf.

    Attributes
    ----------
    left, right, columns : ndarray, shape (n_nodes,), int64
    thresholds : ndarray, shape (n_nodes,), float64
        A value at most this goes to the left.
    missing : ndarray, shape (n_nodes,), bool
        Whether a missing value does.
    leaves : ndarray, shape (n_nodes,), float64
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]
    leaves: npt.NDArray[np.float64]


def is_of_trees(estimator: Any) -> bool:
    """Whether an estimator of scikit-learn is compiled here."""
    return type(parted(estimator)[1]).__name__ in _FORESTS | _BOOSTED


def compile_sklearn_trees(estimator: Any, *, n_inputs: int, task: Task) -> bytes:
    """Compile: the mean of a forest's leaves (of the shares of class 1), or the sum of boosted ones through their link.

    Raises
    ------
    TrainingFailed
        If the estimator takes columns as categories.
    """
    last = parted(estimator)[1]
    ensemble, transform = TreeEnsemble(), "Identity"
    if _is_boosted(last):
        transform = _link(last)
        ensemble.begin_tree()
        ensemble.leaf(float(np.ravel(last._baseline_prediction)[0]))
    for nodes in _folded(estimator, width=n_inputs, value=int(task is Task.BINARY)):
        _add(ensemble, nodes)
    return compile_trees(ensemble, n_inputs=n_inputs, transform=transform, extra="sklearn")


def split_thresholds(estimator: Any) -> Iterator[tuple[int, float]]:
    """Column and threshold of each split of an estimator made of trees; none of any other."""
    width = getattr(parted(estimator)[1], "n_features_in_", 0)
    trees = _folded(estimator, width=width, value=0) if is_of_trees(estimator) else _trees(estimator, value=0)
    for nodes in trees:
        splits = nodes.left != _LEAF
        yield from zip(nodes.columns[splits].tolist(), nodes.thresholds[splits].tolist(), strict=True)


def _folded(estimator: Any, *, width: int, value: int) -> list[_Nodes]:
    """The trees, asking of the values that the estimator is given, not of those that its steps make of them."""
    steps, last = parted(estimator)
    trees = list(_trees(last, value=value))
    if not steps:
        return trees
    columns, thresholds, missing = (
        np.concatenate([getattr(nodes, name) for nodes in trees]) for name in ("columns", "thresholds", "missing")
    )
    thresholds, missing = fold(steps, columns, thresholds, missing, width=width, single=not _is_boosted(last))
    ends = np.cumsum([len(nodes.left) for nodes in trees])[:-1]
    parts = zip(trees, np.split(thresholds, ends), np.split(missing, ends), strict=True)
    return [replace(nodes, thresholds=given, missing=answers) for nodes, given, answers in parts]


def _trees(estimator: Any, *, value: int) -> Iterator[_Nodes]:
    """The trees of boosting or of a forest; a forest's leaves are parts of a mean of one of their values."""
    for step in getattr(estimator, "_predictors", ()):
        yield from (_of_boosting(predictor.nodes) for predictor in step)
    members = getattr(estimator, "estimators_", (estimator,))
    members = members.flat if isinstance(members, np.ndarray) else members
    trees = [member.tree_ for member in members if hasattr(member, "tree_")]
    yield from (_of_forest(tree, tree.value[:, 0, value] / len(trees)) for tree in trees)


def _of_boosting(nodes: Any) -> _Nodes:
    return _Nodes(
        left=np.where(nodes["is_leaf"], _LEAF, nodes["left"].astype(np.int64)),
        right=nodes["right"].astype(np.int64),
        columns=nodes["feature_idx"].astype(np.int64),
        thresholds=nodes["num_threshold"],
        missing=nodes["missing_go_to_left"].astype(np.bool_),
        leaves=nodes["value"],
    )


def _of_forest(tree: Any, leaves: npt.NDArray[np.float64]) -> _Nodes:
    return _Nodes(
        left=tree.children_left,
        right=tree.children_right,
        columns=np.where(tree.children_left == _LEAF, 0, tree.feature),
        thresholds=tree.threshold,
        missing=tree.missing_go_to_left.astype(np.bool_),
        leaves=leaves,
    )


def _is_boosted(estimator: Any) -> bool:
    return type(estimator).__name__ in _BOOSTED


def _link(estimator: Any) -> str:
    """What becomes of the sum of boosted trees, as an operator's name."""
    link = type(estimator._loss.link).__name__
    if estimator.is_categorical_ is not None or link not in _TRANSFORMS:
        what = "categorical_features" if link in _TRANSFORMS else f"the loss {estimator.loss!r}"
        raise TrainingFailed(f"{type(estimator).__name__} with {what} cannot be compiled; train it without")
    return _TRANSFORMS[link]


def _add(ensemble: TreeEnsemble, nodes: _Nodes) -> None:
    """Add a tree, whose nodes keep their numbers."""
    ensemble.begin_tree()
    children = list(zip(nodes.left.tolist(), nodes.right.tolist(), strict=True))
    columns = (nodes.columns, nodes.thresholds, nodes.missing, nodes.leaves)
    rows = zip(children, *(column.tolist() for column in columns), strict=True)
    for (left, _), column, threshold, missing, leaf in rows:
        if left == _LEAF:
            ensemble.leaf(leaf)
        else:
            ensemble.at_most(column, float32_below(threshold), missing_is_true=missing)
    for place, (left, right) in enumerate(children):
        if left != _LEAF:
            ensemble.branch(place, true=left, false=right)
