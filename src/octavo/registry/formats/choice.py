"""Which format an estimator has."""

from typing import Any

from octavo.errors import TrainingFailed
from octavo.registry.formats import Format
from octavo.registry.formats.catboost import CatBoost
from octavo.registry.formats.lightgbm import LightGBM
from octavo.registry.formats.onnx import Onnx
from octavo.registry.formats.sklearn import ScikitLearn
from octavo.registry.formats.xgboost import XGBoost

FORMATS: tuple[Format, ...] = (LightGBM(), XGBoost(), CatBoost(), Onnx(), ScikitLearn())

_TAKEN = (
    "a fitted estimator or pipeline of scikit-learn, a regressor or classifier of LightGBM, XGBoost or CatBoost, or an "
    "onnx.ModelProto"
)


def format_of(estimator: Any) -> Format:
    """The format of an estimator.

    Raises
    ------
    TrainingFailed
        If no format knows it.
    """
    for known in FORMATS:
        if known.matches(estimator):
            return known
    kind = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    raise TrainingFailed(f"a {kind} cannot be packed; return {_TAKEN}")
