"""scikit-learn's trees, forests and histogram boosting, also after imputing and scaling, as sums of trees.

skl2onnx loses where a forest sends missing values, rounds the thresholds of histogram boosting and prepares in float32.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.registry.formats.sklearn_columns import FIRST_WORD, MISSING, UNSEEN, Line, Preparation, Table
from octavo.registry.formats.sklearn_steps import fold, fold_numbers, parted
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
    codes : mapping of node to ndarray
        Of nodes that ask for categories, the codes that go to the left.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]
    leaves: npt.NDArray[np.float64]
    codes: Mapping[int, npt.NDArray[np.int64]] = field(default_factory=dict)


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
    if getattr(last, "is_categorical_", None) is not None:
        raise TrainingFailed(
            f"{type(last).__name__} with categorical_features that are numbers cannot be compiled; declare them as "
            "oc.Category, or train it without"
        )
    ensemble, transform = _begun(last)
    for nodes in _folded(estimator, width=n_inputs, value=int(task is Task.BINARY)):
        _add(ensemble, nodes)
    return compile_trees(ensemble, n_inputs=n_inputs, transform=transform, extra="sklearn")


def compile_prepared_trees(preparation: Preparation, last: Any, *, n_inputs: int, task: Task) -> bytes:
    """Compile trees behind a preparation: they ask of given numbers and words, not of what is made of them.

    Raises
    ------
    TrainingFailed
        If the loss has no known link.
    """
    ensemble, transform = _begun(last)
    trees = list(_trees(last, value=int(task is Task.BINARY)))
    for nodes in _of_given_numbers(preparation, trees, single=not _is_boosted(last)):
        _add(ensemble, nodes, preparation=preparation)
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
    columns, thresholds, missing = _joined(trees, ("columns", "thresholds", "missing"))
    thresholds, missing = fold(steps, columns, thresholds, missing, width=width, single=not _is_boosted(last))
    return _parted_again(trees, thresholds, missing)


def _of_given_numbers(preparation: Preparation, trees: list[_Nodes], *, single: bool) -> list[_Nodes]:
    """The trees with the thresholds of given numbers in place of those of prepared ones."""
    made_of = np.array([one.column if isinstance(one, Line) else -1 for one in preparation.columns], np.int64)
    columns, thresholds, missing, left = _joined(trees, ("columns", "thresholds", "missing", "left"))
    asks = (left != _LEAF) & (made_of[columns] >= 0)
    thresholds[asks], missing[asks] = fold_numbers(
        preparation.transform,
        columns[asks],
        thresholds[asks],
        missing[asks],
        given=made_of[columns[asks]],
        base=preparation.base,
        single=single,
    )
    return _parted_again(trees, thresholds, missing)


def _joined(trees: list[_Nodes], names: tuple[str, ...]) -> tuple[npt.NDArray[Any], ...]:
    """Some columns of the nodes of all trees, one after the other."""
    return tuple(np.concatenate([getattr(nodes, name) for nodes in trees]) for name in names)


def _parted_again(
    trees: list[_Nodes], thresholds: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_]
) -> list[_Nodes]:
    ends = np.cumsum([len(nodes.left) for nodes in trees])[:-1]
    parts = zip(trees, np.split(thresholds, ends), np.split(missing, ends), strict=True)
    return [replace(nodes, thresholds=given, missing=answers) for nodes, given, answers in parts]


def _trees(estimator: Any, *, value: int) -> Iterator[_Nodes]:
    """The trees of boosting or of a forest; a forest's leaves are parts of a mean of one of their values."""
    for step in getattr(estimator, "_predictors", ()):
        yield from (_of_boosting(predictor) for predictor in step)
    members = getattr(estimator, "estimators_", (estimator,))
    members = members.flat if isinstance(members, np.ndarray) else members
    trees = [member.tree_ for member in members if hasattr(member, "tree_")]
    yield from (_of_forest(tree, tree.value[:, 0, value] / len(trees)) for tree in trees)


def _of_boosting(predictor: Any) -> _Nodes:
    nodes = predictor.nodes
    return _Nodes(
        left=np.where(nodes["is_leaf"], _LEAF, nodes["left"].astype(np.int64)),
        right=nodes["right"].astype(np.int64),
        columns=nodes["feature_idx"].astype(np.int64),
        thresholds=nodes["num_threshold"],
        missing=nodes["missing_go_to_left"].astype(np.bool_),
        leaves=nodes["value"],
        codes={
            int(node): np.flatnonzero(np.unpackbits(_bits(predictor, nodes[node]), bitorder="little"))
            for node in np.flatnonzero(nodes["is_categorical"] & ~nodes["is_leaf"])
        },
    )


def _bits(predictor: Any, node: Any) -> npt.NDArray[np.uint8]:
    """Which codes of a category a node sends to the left, a bit each."""
    bits: npt.NDArray[np.uint8] = predictor.raw_left_cat_bitsets[node["bitset_idx"]].astype("<u4").view(np.uint8)
    return bits


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


def _begun(last: Any) -> tuple[TreeEnsemble, str]:
    """An ensemble with what boosting starts from, and what becomes of its sum."""
    ensemble = TreeEnsemble()
    if not _is_boosted(last):
        return ensemble, "Identity"
    ensemble.begin_tree()
    ensemble.leaf(float(np.ravel(last._baseline_prediction)[0]))
    return ensemble, _link(last)


def _link(estimator: Any) -> str:
    """What becomes of the sum of boosted trees, as an operator's name."""
    link = type(estimator._loss.link).__name__
    if link not in _TRANSFORMS:
        raise TrainingFailed(
            f"{type(estimator).__name__} with the loss {estimator.loss!r} cannot be compiled; train it without"
        )
    return _TRANSFORMS[link]


def _add(ensemble: TreeEnsemble, nodes: _Nodes, *, preparation: Preparation | None = None) -> None:
    """Add a tree; a question for words becomes one for each of them, or for each of the others."""
    ensemble.begin_tree()
    children = list(zip(nodes.left.tolist(), nodes.right.tolist(), strict=True))
    columns = (nodes.columns, nodes.thresholds, nodes.missing, nodes.leaves)
    rows = zip(children, *(column.tolist() for column in columns), strict=True)
    added: list[tuple[list[int], bool]] = []
    for number, ((left, _), column, threshold, missing, leaf) in enumerate(rows):
        one = preparation.columns[column] if preparation else None
        if left == _LEAF:
            added.append(([ensemble.leaf(leaf)], True))
        elif isinstance(one, Table):
            goes_left = _goes_left(one.values, threshold, missing=missing, codes=nodes.codes.get(number))
            added.append(_ask_for_words(ensemble, one.column, goes_left))
        else:
            given = one.column if one else column
            added.append(([ensemble.at_most(given, float32_below(threshold), missing_is_true=missing)], True))
    for number, (left, right) in enumerate(children):
        if left != _LEAF:
            places, asks_for_left = added[number]
            true, false = (left, right) if asks_for_left else (right, left)
            ensemble.branch_all(places, true=added[true][0][0], false=added[false][0][0])


def _goes_left(
    values: npt.NDArray[np.float64], threshold: float, *, missing: bool, codes: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.bool_]:
    """Which values of a table a node sends to the left."""
    left = values <= threshold if codes is None else np.isin(values, codes)
    return np.where(np.isnan(values), missing, left)


def _ask_for_words(ensemble: TreeEnsemble, column: int, goes_left: npt.NDArray[np.bool_]) -> tuple[list[int], bool]:
    """Nodes that ask for the words that go to the left, or to the right if those are fewer; and whether to the left."""
    lefts = np.flatnonzero(goes_left[UNSEEN:]) + UNSEEN - FIRST_WORD
    rights = np.flatnonzero(~goes_left[UNSEEN:]) + UNSEEN - FIRST_WORD
    asks_for_left = len(lefts) <= len(rights)
    asked = lefts if asks_for_left else rights
    is_missing_asked = bool(goes_left[MISSING]) == asks_for_left
    return ensemble.one_of(column, asked.astype(float).tolist(), missing_is_true=is_missing_asked), asks_for_left
