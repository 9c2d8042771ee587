"""CatBoost: its own binary form, compilation to ONNX, and symmetric trees as arrays.

A symmetric tree asks the same question at every node of a level; written out, it is a tree as any other. In a column
that lacked no value in training, a missing one counts as smaller than everything, as it does to CatBoost.
"""

import ast
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import IntegrityError, MissingExtra, TrainingFailed
from octavo.registry.formats import Floats, Outputs
from octavo.registry.formats.symmetric import symmetric_trees
from octavo.registry.formats.symmetric_file import write_trees
from octavo.registry.formats.trees import TreeEnsemble, compile_trees
from octavo.registry.forms import Form
from octavo.training.frames import NO_CATEGORY, NO_WORD, Words

_FILE = "model.cbm"
_LOGISTIC = frozenset({"Logloss", "CrossEntropy"})
_EXPONENTIAL = frozenset({"Poisson", "Tweedie"})
_WORDS_BEGIN, _WORDS_END = "cat_features_hashes = {\n", "\n}\n"
_PREDICTIONS = {"Identity": "RawFormulaVal", "Exp": "Exponent", "Sigmoid": "Probability"}


class CatBoost:
    """``CatBoostRegressor`` and ``CatBoostClassifier`` of two classes, over numbers."""

    name = "catboost"
    serves = True
    loops = Form.TREES

    def matches(self, estimator: Any) -> bool:
        return any(kind.__module__.partition(".")[0] == "catboost" for kind in type(estimator).__mro__)

    def save(self, estimator: Any) -> dict[str, bytes]:
        return {_FILE: _written(estimator, "cbm")}

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        try:
            import catboost
        except ImportError as error:
            raise MissingExtra("catboost", "reading a CatBoost model") from error
        model = catboost.CatBoost()
        try:
            model.load_model(blob=files[_FILE])
            kind = _PREDICTIONS[_transform(_described(model))]
            takes = _Rows(words, catboost.FeaturesData) if words else np.asfortranarray
        except (catboost.CatBoostError, LookupError, TypeError, ValueError) as error:
            raise IntegrityError(f"the file of a CatBoost model cannot be loaded: {error}; train it again") from error

        def outputs(rows: npt.NDArray[Any]) -> Floats:
            answers = np.asarray(model.predict(takes(rows), prediction_type=kind, thread_count=1), dtype=np.float64)
            return answers[:, 1] if answers.ndim == 2 else answers

        return outputs

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        model = _described(estimator)
        _check_numbers(model)
        columns = model["features_info"]["float_features"]
        scale, bias = _line(model)
        ensemble = TreeEnsemble()
        for tree in _trees(model):
            ensemble.begin_tree()
            _add(ensemble, tree, columns=columns, scale=scale)
        ensemble.begin_tree()
        ensemble.leaf(bias)
        return compile_trees(ensemble, n_inputs=n_inputs, transform=_transform(model), extra="catboost")

    def to_loops(self, estimator: Any, *, n_inputs: int, words: Words | None = None) -> bytes:
        model, known = _described(estimator), words.by_place if words else {}
        hashes = _hashes({word for some in known.values() for word in some} | {NO_CATEGORY, NO_WORD}) if known else {}
        scale, bias = _line(model)
        trees = symmetric_trees(model, words=known, hashes=hashes)
        return write_trees(trees, n_inputs=n_inputs, transform=_transform(model), scale=scale, bias=bias)

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        model = _described(estimator)
        for column in model["features_info"].get("float_features", ()):
            yield from ((column["flat_feature_index"], border) for border in column["borders"] or ())


class _Rows:
    """A matrix as CatBoost takes it soonest where some columns are words.

    Words behind all numbers go beside them, which takes half the time for many rows; others go among objects.
    """

    def __init__(self, words: Words, features_data: Callable[..., Any]) -> None:
        self._words = {
            place: np.array([*(one.encode() for one in (*known, NO_CATEGORY, NO_WORD))], object)
            for place, known in words.by_place.items()
        }
        self._numbers = len(words.columns) - len(self._words)
        self._are_last = min(self._words) == self._numbers > 0
        self._features_data = features_data

    def __call__(self, matrix: npt.NDArray[Any]) -> Any:
        texts = np.empty((len(matrix), len(self._words)), object)
        for place, (column, known) in enumerate(self._words.items()):
            places = matrix[:, column]
            texts[:, place] = known[np.where(np.isnan(places), len(known) - 2, places).astype(np.intp)]
        if self._are_last:
            numbers = np.ascontiguousarray(matrix[:, : self._numbers], dtype=np.float32)
            return self._features_data(num_feature_data=numbers, cat_feature_data=texts)
        rows = matrix.astype(object)
        rows[:, list(self._words)] = texts
        return rows


def _written(estimator: Any, form: str, **options: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="octavo-") as folder:
        path = Path(folder) / "model"
        estimator.save_model(str(path), format=form, **options)
        return path.read_bytes()


def _described(estimator: Any) -> dict[str, Any]:
    """What the library writes of a model."""
    model: dict[str, Any] = json.loads(_written(estimator, "json"))
    return model


def _hashes(words: set[str]) -> dict[str, int]:
    """CatBoost's own hash of each word, from a model of one split, which it writes as a program with all its words."""
    from catboost import CatBoostRegressor, Pool

    kept = sorted(words)
    pool = Pool([[word] for word in kept], list(range(len(kept))), cat_features=[0])
    model = CatBoostRegressor(iterations=1, depth=1, thread_count=1, allow_writing_files=False, verbose=False)
    program = _written(model.fit(pool), "python", pool=pool).decode()
    lines = program.partition(_WORDS_BEGIN)[2].partition(_WORDS_END)[0].splitlines()
    pairs = [line.strip().rstrip(",").rpartition(": ") for line in lines]
    hashes = {ast.literal_eval(f"b{word}").decode(): int(number) for word, _, number in pairs}
    if hashes.keys() != words:
        raise TrainingFailed("this version of CatBoost does not say what it makes of words")
    return hashes


def _check_numbers(model: dict[str, Any]) -> None:
    """Refuse a model that takes more than numbers."""
    if others := sorted(set(model["features_info"]) - {"float_features", "ctrs"}):
        kinds = ", ".join(other.replace("_", " ") for other in others)
        raise TrainingFailed(f"CatBoost with {kinds} cannot be compiled")


def _trees(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The trees, in which each node has a split and what is on its left and right, or a value."""
    yield from model.get("trees", ())
    for tree in model.get("oblivious_trees", ()):
        yield _written_out(tree["splits"], tree["leaf_values"])


def _written_out(splits: list[dict[str, Any]], values: list[float]) -> dict[str, Any]:
    """A symmetric tree; the n-th split, where true, is bit n of the place of the leaf's value."""
    if not splits:
        return {"value": values[0]}
    half = len(values) // 2
    return {
        "split": splits[-1],
        "left": _written_out(splits[:-1], values[:half]),
        "right": _written_out(splits[:-1], values[half:]),
    }


def _line(model: dict[str, Any]) -> tuple[float, float]:
    """What the sum of the leaves is multiplied by, and what is added to that."""
    scale, biases = model["scale_and_bias"]
    if len(biases) != 1:
        raise TrainingFailed(
            "a CatBoost model of several outputs cannot be compiled; the label is one number or two classes"
        )
    return scale, biases[0]


def _transform(model: dict[str, Any]) -> str:
    """What becomes of the sum of the leaves, as an operator's name."""
    loss = model["model_info"]["params"]["loss_function"]["type"]
    if loss in _LOGISTIC:
        return "Sigmoid"
    return "Exp" if loss in _EXPONENTIAL else "Identity"


def _add(ensemble: TreeEnsemble, node: dict[str, Any], *, columns: list[dict[str, Any]], scale: float) -> int:
    """Add a node and all below it; returns its place."""
    if "value" in node:
        return ensemble.leaf(node["value"] * scale)
    split = node["split"]
    column = columns[split["float_feature_index"]]
    place = ensemble.at_most(
        column["flat_feature_index"],
        float(np.float32(split["border"])),
        missing_is_true=column["nan_value_treatment"] != "AsTrue",
    )
    ensemble.branch(
        place,
        true=_add(ensemble, node["left"], columns=columns, scale=scale),
        false=_add(ensemble, node["right"], columns=columns, scale=scale),
    )
    return place
