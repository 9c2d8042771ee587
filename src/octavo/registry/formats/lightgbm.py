"""LightGBM: its own text form, and compilation to ONNX.

The compiled trees decide every float32 row as LightGBM does: its thresholds are doubles, and each becomes the largest
float32 that is not above it; where it reads a missing value as zero, so does the compiled node; the fraction of a
category is dropped.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from octavo.definitions.models import Task
from octavo.errors import MissingExtra, TrainingFailed
from octavo.registry.formats import Outputs
from octavo.registry.formats.lightgbm_direct import DirectBooster
from octavo.registry.formats.trees import TreeEnsemble, compile_trees, float32_below
from octavo.training.frames import Words

_FILE = "model.txt"
_ZERO = float(np.float32(1e-35))
_IDENTITY = frozenset({"", "custom", "none", "regression", "regression_l1", "huber", "fair", "quantile", "mape"})
_EXPONENTIAL = frozenset({"poisson", "gamma", "tweedie"})
_LOGISTIC = frozenset({"binary", "cross_entropy"})
_INFINITE = 1e300
"""How a dumped model writes the infinite threshold of a split that only parts missing values from others."""


class LightGBM:
    """``LGBMRegressor``, ``LGBMClassifier`` of two classes, and ``Booster``."""

    name = "lightgbm"
    serves = True

    def matches(self, estimator: Any) -> bool:
        return any(kind.__module__.partition(".")[0] == "lightgbm" for kind in type(estimator).__mro__)

    def save(self, estimator: Any) -> dict[str, bytes]:
        return {_FILE: str(_booster(estimator).model_to_string()).encode()}

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        try:
            from lightgbm import Booster
        except ImportError as error:
            raise MissingExtra("lightgbm", "reading a LightGBM model") from error
        booster = Booster(model_str=files[_FILE].decode())
        _check_words(booster, words)
        return DirectBooster(booster).predict

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        _check_words(_booster(estimator), words)
        model = _booster(estimator).dump_model()
        if model["num_tree_per_iteration"] != 1:
            raise TrainingFailed("a LightGBM model of several classes cannot be compiled; the label has two")
        trees = model["tree_info"]
        share = 1 / len(trees) if model.get("average_output") and trees else 1.0
        ensemble = TreeEnsemble()
        for tree in trees:
            ensemble.begin_tree()
            _add(ensemble, tree["tree_structure"], share=share)
        ensemble.truncated -= set(words.by_place if words else ())  # a place has no fraction
        transform, scale = _transform(str(model.get("objective", "")))
        return compile_trees(ensemble, n_inputs=n_inputs, transform=transform, extra="lightgbm", scale=scale)

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        for tree in _booster(estimator).dump_model()["tree_info"]:
            for node in _splits(tree["tree_structure"]):
                column = int(node["split_feature"])
                if node["decision_type"] == "==":
                    yield from ((column, category) for category in _categories(node))
                else:
                    yield column, _threshold(node)


def _check_words(booster: Any, words: Words | None) -> None:
    """Refuse a model that gives other numbers to words than `words` does."""
    if words is None:
        return
    learned = booster.pandas_categorical or []
    if [tuple(one) for one in learned] != [
        words.categories[name] for name in words.columns if name in words.categories
    ]:
        raise TrainingFailed(
            "LightGBM was given other categories than those of X; hand on each category of X, as it is, or none: "
            "fit(train.X, train.y)"
        )


def _booster(estimator: Any) -> Any:
    return getattr(estimator, "booster_", estimator)


def _splits(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]


def _add(ensemble: TreeEnsemble, node: dict[str, Any], *, share: float) -> int:
    """Add a node and all below it; returns its place."""
    if "split_feature" not in node:
        if "leaf_coeff" in node:
            raise TrainingFailed("LightGBM's linear trees cannot be compiled; train with linear_tree=False")
        return ensemble.leaf(float(node["leaf_value"]) * share)
    if node["missing_type"] == "Zero":
        raise TrainingFailed("LightGBM's zero_as_missing cannot be compiled; train with zero_as_missing=False")
    column = int(node["split_feature"])
    if node["decision_type"] == "==":
        return _add_categories(ensemble, node, column=column, share=share)
    threshold = _threshold(node)
    place = ensemble.at_most(
        column,
        _float32_bound(threshold),
        missing_is_true=bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0,
    )
    ensemble.branch(
        place,
        true=_add(ensemble, node["left_child"], share=share),
        false=_add(ensemble, node["right_child"], share=share),
    )
    return place


def _threshold(node: dict[str, Any]) -> float:
    threshold = float(node["threshold"])
    return threshold if threshold < _INFINITE else np.inf


def _categories(node: dict[str, Any]) -> list[float]:
    return [float(category) for category in str(node["threshold"]).split("||")]


def _add_categories(ensemble: TreeEnsemble, node: dict[str, Any], *, column: int, share: float) -> int:
    """A set of categories becomes a chain of equalities whose true branches meet in one node."""
    ensemble.truncated.add(column)
    chain = ensemble.one_of(column, _categories(node))
    true = _add(ensemble, node["left_child"], share=share)
    false = _add(ensemble, node["right_child"], share=share)
    ensemble.branch_all(chain, true=true, false=false)
    return chain[0]


def _float32_bound(threshold: float) -> float:
    """The largest float32 that LightGBM finds to be at most `threshold`; what is smaller than 1e-35 is zero to it."""
    if 0 <= threshold < _ZERO:
        return _ZERO
    if -_ZERO <= threshold < 0:
        return float(np.nextafter(np.float32(-_ZERO), np.float32(-np.inf)))
    return float32_below(threshold)


def _transform(objective: str) -> tuple[str, float]:
    """What becomes of the sum of the leaves: an operator's name, and what the sum is multiplied by before it."""
    name, *parameters = objective.split() or [""]
    if name in _IDENTITY and "sqrt" not in parameters:
        return "Identity", 1.0
    if name in _EXPONENTIAL:
        return "Exp", 1.0
    if name in _LOGISTIC:
        given = [float(p.removeprefix("sigmoid:")) for p in parameters if p.startswith("sigmoid:")]
        return "Sigmoid", given[0] if given else 1.0
    raise TrainingFailed(f"LightGBM's objective {objective!r} cannot be compiled; use a plain regression or binary one")
