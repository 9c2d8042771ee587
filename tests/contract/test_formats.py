"""What every format of models owes: the model comes back from its files, and its compiled form answers as it does.

Each case is a fitted estimator; a format without one fails the first test.
"""

import io
import pickletools
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.models import Task
from octavo.errors import IntegrityError, MissingExtra, TrainingFailed
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.choice import format_of, formats
from octavo.registry.formats.onnx import Onnx, check_self_contained
from octavo.registry.formats.sklearn import ScikitLearn
from octavo.registry.parity import Trial, hard_trials, prove_parity
from octavo.training.estimators import check, predict
from octavo.training.onnx import as_estimator
from octavo.training.torch import TorchEstimator
from tests.libraries import needed

Floats = npt.NDArray[np.float64]
WIDTH = 4
RANDOM = np.random.default_rng(3)
FULL = RANDOM.normal(0, 10, (600, WIDTH)).astype(np.float32).astype(np.float64)
FULL[:, 3] = RANDOM.integers(0, 9, 600)
X = np.where(RANDOM.random(FULL.shape) < 0.1, np.nan, FULL)
VALUES = np.nan_to_num(X[:, 0]) * 2 + np.isnan(X[:, 1]) * 9 + np.nan_to_num(X[:, 1]) ** 2 / 10 + FULL[:, 3]
CLASSES = (np.median(VALUES) < VALUES).astype(np.float64)
REGRESSION, BINARY = Task.REGRESSION, Task.BINARY


@dataclass(frozen=True)
class Case:
    """A way to fit an estimator of a library, and the rows that it is fitted to."""

    library: str
    task: Task
    fit: Callable[[Floats, Floats], Any]
    rows: Floats

    @property
    def labels(self) -> Floats:
        return CLASSES if self.task is BINARY else VALUES


def boosted(rows: Floats, labels: Floats, **options: Any) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=30, num_leaves=15, n_jobs=1, verbose=-1, **options).fit(rows, labels)


def positive(rows: Floats, labels: Floats, *, objective: str) -> Any:
    return boosted(rows, np.abs(labels) + 1, objective=objective)


def with_categories(rows: Floats, labels: Floats) -> Any:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=20, min_child_samples=5, n_jobs=1, verbose=-1)
    return model.fit(rows, labels, categorical_feature=[3])


def boosted_classifier(rows: Floats, labels: Floats) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1).fit(rows, labels)


def booster(rows: Floats, labels: Floats, *, objective: str) -> Any:
    import lightgbm

    settings = {"objective": objective, "verbose": -1, "num_threads": 1}
    return lightgbm.train(settings, lightgbm.Dataset(rows, labels), num_boost_round=20)


def stopped_early(rows: Floats, labels: Floats) -> Any:
    import lightgbm

    learned = lightgbm.Dataset(rows[:400], labels[:400])
    judged = lightgbm.Dataset(rows[400:], labels[400:], reference=learned)
    return lightgbm.train(
        {"verbose": -1, "num_threads": 1},
        learned,
        num_boost_round=200,
        valid_sets=[judged],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )


def of_xgboost(rows: Floats, labels: Floats, *, kind: str = "XGBRegressor", **options: Any) -> Any:
    import xgboost

    return getattr(xgboost, kind)(**({"n_estimators": 20, "max_depth": 4, "n_jobs": 1} | options)).fit(rows, labels)


def of_xgboost_stopped_early(rows: Floats, labels: Floats) -> Any:
    from xgboost import XGBRegressor

    model = XGBRegressor(n_estimators=200, n_jobs=1, early_stopping_rounds=3)
    return model.fit(rows[:400], labels[:400], eval_set=[(rows[400:], labels[400:])], verbose=False)


def of_catboost(rows: Floats, labels: Floats, *, kind: str = "CatBoostRegressor", **options: Any) -> Any:
    import catboost

    settings = {"iterations": 20, "depth": 4, "thread_count": 1, "allow_writing_files": False, "verbose": False}
    return getattr(catboost, kind)(**(settings | options)).fit(rows, labels)


def of_catboost_stopped_early(rows: Floats, labels: Floats) -> Any:
    from catboost import CatBoostRegressor

    model = CatBoostRegressor(iterations=300, thread_count=1, allow_writing_files=False, verbose=False)
    return model.fit(rows[:400], labels[:400], eval_set=(rows[400:], labels[400:]), early_stopping_rounds=3)


def of_onnx(rows: Floats, labels: Floats, *, fit: Callable[[Floats, Floats], Any], outputs: str, **options: Any) -> Any:
    """An estimator of scikit-learn that somebody else made an ONNX file of, and that is returned as such."""
    from skl2onnx import to_onnx

    model = to_onnx(fit(rows, labels), rows[:1].astype(np.float32), target_opset={"": 18, "ai.onnx.ml": 3}, **options)
    assert ", ".join(output.name for output in model.graph.output) == outputs
    return as_estimator(model)


def of_trees_alone(rows: Floats, labels: Floats) -> Any:
    """ONNX without a general operator: boosted trees, of which only the sum is left."""
    trees = boosted(rows, labels)
    model = onnx.load_from_string(format_of(trees).to_onnx(trees, n_inputs=WIDTH, task=REGRESSION))
    del model.graph.node[1:], model.graph.output[:], model.opset_import[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [None, 1]))
    return as_estimator(model)


def network(*, ends: str = "", width: int = 1) -> Any:
    """A module of two layers, which reads a missing value as zero; its weights are always the same."""
    torch = needed("torch")

    class Filled(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            return torch.nan_to_num(rows, posinf=0.0, neginf=0.0)

    torch.manual_seed(1)
    layers = [torch.nn.BatchNorm1d(WIDTH), torch.nn.Linear(WIDTH, 8), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
    last = {
        "Sigmoid": torch.nn.Sigmoid,
        "Softmax": partial(torch.nn.Softmax, dim=1),
        "Flatten": partial(torch.nn.Flatten, 0),
    }
    return torch.nn.Sequential(Filled(), *layers, torch.nn.Linear(8, width), *([last[ends]()] if ends else []))


def of_torch(rows: Floats, labels: Floats, **options: Any) -> Any:
    return TorchEstimator.of_module(network(**options), n_inputs=WIDTH)


def of_torch_with_memory(rows: Floats, labels: Floats) -> Any:
    """A module that embeds its last column, and reads the others and that one after another."""
    torch = needed("torch")

    class Reading(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.reader = torch.nn.Embedding(9, 1), torch.nn.GRU(1, 4, batch_first=True)
            self.last = torch.nn.Linear(4, 1)

        def forward(self, rows: Any) -> Any:
            filled = torch.nan_to_num(rows).clamp(-100, 100)
            words = self.words(filled[:, -1].clamp(0, 8).long())
            read, _ = self.reader(torch.cat([filled, words], dim=1).unsqueeze(-1))
            return self.last(read[:, -1])

    torch.manual_seed(1)
    return TorchEstimator.of_module(Reading(), n_inputs=WIDTH)


def of_sklearn(rows: Floats, labels: Floats, *, module: str, name: str, **options: Any) -> Any:
    """An estimator of scikit-learn, after steps that scale and, where rows lack values, fill them in if asked to."""
    from importlib import import_module

    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [SimpleImputer(strategy="median"), StandardScaler()] if options.pop("prepared", False) else []
    estimator = getattr(import_module(f"sklearn.{module}"), name)(**options)
    return (make_pipeline(*steps, estimator) if steps else estimator).fit(rows, labels)


def scaled_histogram(rows: Floats, labels: Floats) -> Any:
    """Boosting after steps that leave values missing."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler

    return make_pipeline(RobustScaler(), MinMaxScaler(), HistGradientBoostingRegressor(max_iter=20)).fit(rows, labels)


def calibrated(rows: Floats, labels: Floats) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), CalibratedClassifierCV(LogisticRegression())).fit(rows, labels)


def sklearn(task: Task, module: str, name: str, *, rows: Floats = X, **options: Any) -> Case:
    return Case("sklearn", task, partial(of_sklearn, module=module, name=name, **options), rows)


def xgboost(task: Task, *, rows: Floats = X, above: float = -np.inf, **options: Any) -> Case:
    """A case of XGBoost, fitted to labels of which none is below `above`."""
    return Case("xgboost", task, lambda rows, labels: of_xgboost(rows, np.maximum(labels, above), **options), rows)


def catboost(task: Task, *, rows: Floats = X, above: float = -np.inf, **options: Any) -> Case:
    """A case of CatBoost, fitted to labels of which none is below `above`."""
    return Case("catboost", task, lambda rows, labels: of_catboost(rows, np.maximum(labels, above), **options), rows)


FOREST: dict[str, Any] = {"n_estimators": 10, "random_state": 0}
HISTOGRAM: dict[str, Any] = {"max_iter": 20, "random_state": 0}
CASES = {
    "lightgbm l2": Case("lightgbm", REGRESSION, boosted, X),
    "lightgbm l1": Case("lightgbm", REGRESSION, partial(boosted, objective="l1"), X),
    "lightgbm quantile": Case("lightgbm", REGRESSION, partial(boosted, objective="quantile", alpha=0.9), X),
    "lightgbm poisson": Case("lightgbm", REGRESSION, partial(positive, objective="poisson"), X),
    "lightgbm tweedie": Case("lightgbm", REGRESSION, partial(positive, objective="tweedie"), X),
    "lightgbm forest": Case(
        "lightgbm", REGRESSION, partial(boosted, boosting_type="rf", subsample=0.5, subsample_freq=1), X
    ),
    "lightgbm dart": Case("lightgbm", REGRESSION, partial(boosted, boosting_type="dart"), X),
    "lightgbm without missing values": Case("lightgbm", REGRESSION, boosted, FULL),
    "lightgbm categories": Case("lightgbm", REGRESSION, with_categories, X),
    "lightgbm stopped early": Case("lightgbm", REGRESSION, stopped_early, X),
    "lightgbm constant": Case("lightgbm", REGRESSION, lambda rows, labels: boosted(rows, 0 * labels + 3), X),
    "lightgbm classifier": Case("lightgbm", BINARY, boosted_classifier, X),
    "lightgbm booster": Case("lightgbm", BINARY, partial(booster, objective="binary"), X),
    "lightgbm cross entropy": Case("lightgbm", BINARY, partial(booster, objective="cross_entropy"), X),
    "xgboost squared error": xgboost(REGRESSION),
    "xgboost absolute error": xgboost(REGRESSION, objective="reg:absoluteerror"),
    "xgboost quantile": xgboost(REGRESSION, objective="reg:quantileerror", quantile_alpha=0.9),
    "xgboost poisson": xgboost(REGRESSION, above=1, objective="count:poisson"),
    "xgboost gamma": xgboost(REGRESSION, above=1, objective="reg:gamma"),
    "xgboost tweedie": xgboost(REGRESSION, above=1, objective="reg:tweedie"),
    "xgboost huber": xgboost(REGRESSION, objective="reg:pseudohubererror"),
    "xgboost squared log error": xgboost(REGRESSION, above=1, objective="reg:squaredlogerror"),
    "xgboost dart": xgboost(REGRESSION, booster="dart", rate_drop=0.3, seed=0),
    "xgboost forest": xgboost(REGRESSION, kind="XGBRFRegressor"),
    "xgboost without missing values": xgboost(REGRESSION, rows=FULL),
    "xgboost by leaves": xgboost(REGRESSION, grow_policy="lossguide", max_leaves=9),
    "xgboost stopped early": Case("xgboost", REGRESSION, of_xgboost_stopped_early, X),
    "xgboost classifier": xgboost(BINARY, kind="XGBClassifier"),
    "xgboost classifier of unequal weights": xgboost(BINARY, kind="XGBClassifier", scale_pos_weight=3, base_score=0.2),
    "catboost squared error": catboost(REGRESSION),
    "catboost absolute error": catboost(REGRESSION, loss_function="MAE"),
    "catboost poisson": catboost(REGRESSION, above=1, loss_function="Poisson"),
    "catboost tweedie": catboost(REGRESSION, above=1, loss_function="Tweedie:variance_power=1.5"),
    "catboost quantile": catboost(REGRESSION, loss_function="Quantile:alpha=0.9"),
    "catboost without missing values": catboost(REGRESSION, rows=FULL),
    "catboost of missing values as the largest": catboost(REGRESSION, nan_mode="Max"),
    "catboost by levels": catboost(REGRESSION, grow_policy="Depthwise"),
    "catboost by leaves": catboost(REGRESSION, grow_policy="Lossguide"),
    "catboost stopped early": Case("catboost", REGRESSION, of_catboost_stopped_early, X),
    "catboost classifier": catboost(BINARY, kind="CatBoostClassifier"),
    "onnx regression": Case(
        "onnx",
        REGRESSION,
        partial(
            of_onnx, fit=partial(of_sklearn, module="linear_model", name="Ridge", prepared=True), outputs="variable"
        ),
        X,
    ),
    "onnx trees alone": Case("onnx", REGRESSION, of_trees_alone, X),
    "onnx probabilities": Case(
        "onnx",
        BINARY,
        partial(
            of_onnx,
            fit=partial(of_sklearn, module="linear_model", name="LogisticRegression", prepared=True),
            outputs="label, probabilities",
            options={"zipmap": False},
        ),
        X,
    ),
    "sklearn linear": sklearn(REGRESSION, "linear_model", "LinearRegression", rows=FULL),
    "sklearn ridge": sklearn(REGRESSION, "linear_model", "Ridge", prepared=True),
    "sklearn logistic": sklearn(BINARY, "linear_model", "LogisticRegression", prepared=True),
    "sklearn tree": sklearn(REGRESSION, "tree", "DecisionTreeRegressor", random_state=0),
    "sklearn tree classifier": sklearn(BINARY, "tree", "DecisionTreeClassifier", max_depth=5, random_state=0),
    "sklearn forest": sklearn(REGRESSION, "ensemble", "RandomForestRegressor", **FOREST),
    "sklearn forest classifier": sklearn(BINARY, "ensemble", "RandomForestClassifier", **FOREST),
    "sklearn forest without missing values": sklearn(BINARY, "ensemble", "RandomForestClassifier", rows=FULL, **FOREST),
    "sklearn extra trees": sklearn(REGRESSION, "ensemble", "ExtraTreesRegressor", **FOREST),
    "sklearn boosting": sklearn(REGRESSION, "ensemble", "GradientBoostingRegressor", rows=FULL, n_estimators=20),
    "sklearn histogram": sklearn(REGRESSION, "ensemble", "HistGradientBoostingRegressor", **HISTOGRAM),
    "sklearn histogram l1": sklearn(
        REGRESSION, "ensemble", "HistGradientBoostingRegressor", loss="absolute_error", **HISTOGRAM
    ),
    "sklearn prepared tree": sklearn(BINARY, "tree", "DecisionTreeClassifier", prepared=True, random_state=0),
    "sklearn prepared forest": sklearn(REGRESSION, "ensemble", "RandomForestRegressor", prepared=True, **FOREST),
    "sklearn prepared boosting": sklearn(
        BINARY, "ensemble", "GradientBoostingClassifier", prepared=True, n_estimators=10, max_depth=2
    ),
    "sklearn prepared histogram": sklearn(
        REGRESSION, "ensemble", "HistGradientBoostingRegressor", prepared=True, **HISTOGRAM
    ),
    "sklearn prepared histogram classifier": sklearn(
        BINARY, "ensemble", "HistGradientBoostingClassifier", prepared=True, **HISTOGRAM
    ),
    "sklearn scaled histogram": Case("sklearn", REGRESSION, scaled_histogram, X),
    "sklearn support vectors": sklearn(REGRESSION, "svm", "SVR", prepared=True),
    "sklearn network": sklearn(
        REGRESSION,
        "neural_network",
        "MLPRegressor",
        prepared=True,
        hidden_layer_sizes=(8,),
        tol=1.0,
        random_state=0,
    ),
    "torch regression": Case("torch", REGRESSION, of_torch, X),
    "torch of one dimension": Case("torch", REGRESSION, partial(of_torch, ends="Flatten"), X),
    "torch recurrent": Case("torch", REGRESSION, of_torch_with_memory, X),
    "torch classifier": Case("torch", BINARY, partial(of_torch, ends="Sigmoid"), X),
    "torch classifier of two columns": Case("torch", BINARY, partial(of_torch, ends="Softmax", width=2), X),
    "sklearn calibrated": Case("sklearn", BINARY, calibrated, X),
    "sklearn histogram classifier": sklearn(BINARY, "ensemble", "HistGradientBoostingClassifier", **HISTOGRAM),
}
TREES_OF_ANY_ROW = [
    "lightgbm l2",
    "lightgbm l1",
    "lightgbm categories",
    "lightgbm classifier",
    "catboost squared error",
    "catboost of missing values as the largest",
    "catboost without missing values",
    "catboost by leaves",
    "sklearn histogram",
]


@cache
def fitted(case: str) -> Any:
    return CASES[case].fit(CASES[case].rows, CASES[case].labels)


@cache
def compiled(case: str) -> CompiledModel:
    return CompiledModel(format_of(fitted(case)).to_onnx(fitted(case), n_inputs=WIDTH, task=CASES[case].task))


def native(case: str) -> Callable[[Floats], Floats]:
    return partial(predict, fitted(case), task=CASES[case].task)


def refused(estimator: Any, *, task: Task, match: str) -> None:
    with pytest.raises(TrainingFailed, match=match):
        format_of(estimator).to_onnx(estimator, n_inputs=WIDTH, task=task)


def members(data: bytes) -> list[bytes]:
    """What is in a file if it is an archive; else the file."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return [data]
    archive = zipfile.ZipFile(io.BytesIO(data))
    return [archive.read(name) for name in archive.namelist()]


def is_a_pickle(data: bytes) -> bool:
    """Whether bytes are one; an array of numpy's is if it holds objects."""
    if data.startswith(b"\x93NUMPY"):
        return np.load(io.BytesIO(data), allow_pickle=False).dtype.hasobject
    try:
        return len(list(pickletools.genops(data))) > 1  # one alone, as a number may begin with, gives nothing back
    except ValueError:
        return False


def test_every_format_has_a_case() -> None:
    assert {known.name for known in formats()} == {case.library for case in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_an_estimator_is_of_its_librarys_format_alone(case: str) -> None:
    check(fitted(case), task=CASES[case].task)
    assert [known.name for known in formats() if known.matches(fitted(case))] == [CASES[case].library]


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_model_answers_as_the_native_one_on_easy_and_hard_rows(case: str) -> None:
    rows = CASES[case].rows
    trials = hard_trials(rows, thresholds=format_of(fitted(case)).thresholds(fitted(case)))
    parity = prove_parity(
        [Trial(kind="fitted rows", rows=rows), *trials], native=native(case), compiled=compiled(case).predict
    )
    assert parity.refused == () or rows is FULL


@pytest.mark.parametrize("case", TREES_OF_ANY_ROW)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_trees_answer_any_float32_alike(case: str, data: st.DataObject) -> None:
    thresholds = sorted({value for _, value in format_of(fitted(case)).thresholds(fitted(case))})
    values = st.one_of(
        st.floats(width=32, allow_nan=True, allow_infinity=True),
        st.sampled_from([float(np.float32(value)) for value in thresholds if abs(value) < 1e38]),
    )
    row = np.array([data.draw(st.lists(values, min_size=WIDTH, max_size=WIDTH))])
    assert compiled(case).predict(row) == pytest.approx(native(case)(row), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_model_comes_back_from_its_files(case: str) -> None:
    known = format_of(fitted(case))
    again = known.load(known.save(fitted(case)))
    assert again(CASES[case].rows) == pytest.approx(native(case)(CASES[case].rows), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_saving_again_gives_the_same_bytes(case: str) -> None:
    first, again = (format_of(fitted(case)).save(fitted(case)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_a_model_hold_no_pickle(case: str) -> None:
    for data in format_of(fitted(case)).save(fitted(case)).values():
        assert not any(is_a_pickle(member) for member in members(data))


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_model_has_one_matrix_as_input_and_one_number_per_row_as_output(case: str) -> None:
    data = format_of(fitted(case)).to_onnx(fitted(case), n_inputs=WIDTH, task=CASES[case].task)
    graph = onnx.load_from_string(data).graph
    onnx.checker.check_model(data)
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [0, WIDTH]
    assert (len(graph.input), len(graph.output)) == (1, 1)
    for rows in (1, 7):
        assert compiled(case).predict(CASES[case].rows[:rows]).shape == (rows,)


@pytest.mark.parametrize("case", CASES)
def test_compiling_again_gives_the_same_bytes(case: str) -> None:
    first, again = (
        format_of(fitted(case)).to_onnx(fitted(case), n_inputs=WIDTH, task=CASES[case].task) for _ in range(2)
    )
    assert first == again


def test_an_unknown_estimator_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        TrainingFailed, match=r"a builtins\.object cannot be packed; return a fitted.*LightGBM, XGBoost or"
    ):
        format_of(object())


def test_lightgbm_of_linear_trees_is_refused() -> None:
    refused(boosted(X, VALUES, linear_tree=True), task=REGRESSION, match="train with linear_tree=False")


def test_lightgbm_that_reads_zeros_as_missing_is_refused() -> None:
    refused(boosted(FULL, VALUES, zero_as_missing=True), task=REGRESSION, match="train with zero_as_missing=False")


def test_lightgbm_with_a_transform_of_its_label_is_refused() -> None:
    refused(boosted(X, VALUES, reg_sqrt=True), task=REGRESSION, match="use a plain regression or binary one")


def test_lightgbm_of_several_classes_is_refused() -> None:
    refused(boosted_classifier(X, np.arange(600.0) % 3), task=BINARY, match="the label has two")


def test_sklearn_that_takes_columns_as_categories_is_refused() -> None:
    options = {"module": "ensemble", "name": "HistGradientBoostingRegressor", "categorical_features": [3]}
    refused(of_sklearn(X, VALUES, **options, **HISTOGRAM), task=REGRESSION, match="categorical_features")


def test_sklearn_that_skl2onnx_does_not_know_is_refused() -> None:
    dummy = of_sklearn(X, VALUES, module="dummy", name="DummyRegressor")
    refused(dummy, task=REGRESSION, match="DummyRegressor cannot be compiled to ONNX")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"missing": -1.0}, "train with missing=nan"),
        ({"booster": "gblinear", "max_depth": None}, "use scikit-learn's linear models"),
        ({"objective": "survival:cox"}, "use a plain regression or binary one"),
    ],
)
def test_xgboost_that_is_no_sum_of_trees_of_numbers_is_refused(options: dict[str, Any], match: str) -> None:
    refused(of_xgboost(FULL, np.abs(VALUES) + 1, **options), task=REGRESSION, match=match)


def test_xgboost_of_several_classes_is_refused() -> None:
    refused(of_xgboost(X, np.arange(600) % 3, kind="XGBClassifier"), task=BINARY, match="of several outputs")


def test_catboost_of_several_outputs_is_refused() -> None:
    uncertain = of_catboost(X, VALUES, loss_function="RMSEWithUncertainty")
    refused(uncertain, task=REGRESSION, match="of several outputs")
    refused(of_catboost(X, np.arange(600) % 3, kind="CatBoostClassifier"), task=BINARY, match="of several outputs")


def test_catboost_with_categories_is_refused() -> None:
    rows = FULL.astype(object)
    rows[:, 3] = [str(value) for value in rows[:, 3]]
    refused(
        of_catboost(rows, VALUES, cat_features=[3]),
        task=REGRESSION,
        match="CatBoost with .*categorical features.* cannot be compiled",
    )


def test_a_module_that_branches_on_a_value_is_refused() -> None:
    torch = needed("torch")

    class Branching(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            return rows[:, 0] if rows.sum() > 0 else rows[:, 1]

    refused(
        TorchEstimator.of_module(Branching(), n_inputs=WIDTH), task=REGRESSION, match=r"cannot export this Branching"
    )


def test_a_module_that_takes_a_fixed_number_of_rows_is_refused() -> None:
    torch = needed("torch")

    class Fixed(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            return rows.reshape(2, WIDTH).sum(dim=1)

    refused(TorchEstimator.of_module(Fixed(), n_inputs=WIDTH), task=REGRESSION, match="with any number of rows")


def test_a_module_that_answers_several_numbers_is_refused() -> None:
    with pytest.raises(TrainingFailed, match=r"answers shape \[600, 3\] for 600 rows; a module must answer one number"):
        predict(of_torch(X, VALUES, width=3), X, task=REGRESSION)


def test_a_module_that_answers_logits_is_refused_for_a_binary_label() -> None:
    with pytest.raises(TrainingFailed, match="no probabilities"):
        predict(of_torch(X, VALUES), X * 100, task=BINARY)


def test_a_compiled_module_says_nothing_of_the_machine_that_made_it() -> None:
    module = fitted("torch regression")
    files = [
        format_of(module).to_onnx(module, n_inputs=WIDTH, task=REGRESSION),
        *format_of(module).save(module).values(),
    ]
    assert not any(b"site-packages" in data or b"test_formats" in data for data in files)


def test_onnx_of_another_width_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="takes 4 columns, but the model has 5 inputs"):
        Onnx().to_onnx(fitted("onnx regression"), n_inputs=5, task=REGRESSION)


def test_onnx_of_an_old_opset_is_refused() -> None:
    model = onnx.load_from_string(fitted("onnx regression").onnx)
    next(one for one in model.opset_import if not one.domain).version = 10
    del model.graph.node[:-1]
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Identity", [model.graph.input[0].name], ["variable"]))
    refused(as_estimator(model), task=REGRESSION, match="export it with opset 11 or later")


def test_onnx_whose_weights_are_in_other_files_is_refused() -> None:
    model = onnx.load_from_string(fitted("onnx regression").onnx)
    model.graph.initializer.add(name="weights", data_location=onnx.TensorProto.EXTERNAL)
    with pytest.raises(TrainingFailed, match="save_as_external_data=False"):
        check_self_contained(model)


def test_compiling_what_is_no_tree_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    case = "sklearn ridge"
    estimator = fitted(case)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'octavo\[sklearn\]'"):
        ScikitLearn().to_onnx(estimator, n_inputs=WIDTH, task=REGRESSION)


@pytest.mark.parametrize(
    ("case", "extra"),
    [
        ("lightgbm l2", "lightgbm"),
        ("xgboost dart", "xgboost"),
        ("catboost poisson", "catboost"),
        ("sklearn forest", "sklearn"),
    ],
)
def test_compiling_trees_needs_their_extra(case: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = fitted(case)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=rf"pip install 'octavo\[{extra}\]'"):
        format_of(estimator).to_onnx(estimator, n_inputs=WIDTH, task=REGRESSION)


@pytest.mark.parametrize(
    ("case", "library"), [("lightgbm l2", "lightgbm"), ("xgboost dart", "xgboost"), ("catboost poisson", "catboost")]
)
def test_reading_a_model_needs_its_extra(case: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, files = format_of(fitted(case)), format_of(fitted(case)).save(fitted(case))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'octavo\[{library}\]'"):
        known.load(files)


@pytest.mark.parametrize("case", ["xgboost dart", "catboost poisson", "onnx regression", "sklearn ridge"])
def test_a_damaged_file_of_a_model_is_refused(case: str) -> None:
    known = format_of(fitted(case))
    damaged = {name: data[: len(data) // 2] for name, data in known.save(fitted(case)).items()}
    with pytest.raises(IntegrityError, match="cannot be loaded"):
        known.load(damaged)
