"""Which format an estimator has."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.formats import Format, Outputs
from octavo.training.frames import words_of

_TAKEN = (
    "a fitted estimator or pipeline of scikit-learn, a regressor or classifier of LightGBM, XGBoost or CatBoost, a "
    "module of PyTorch, or an onnx.ModelProto"
)


@cache
def formats() -> tuple[Format, ...]:
    """All of them; what they compile with is loaded with the first call."""
    from octavo.registry.formats.catboost import CatBoost
    from octavo.registry.formats.lightgbm import LightGBM
    from octavo.registry.formats.onnx import Onnx
    from octavo.registry.formats.sklearn import ScikitLearn
    from octavo.registry.formats.torch import Torch
    from octavo.registry.formats.xgboost import XGBoost

    return LightGBM(), XGBoost(), CatBoost(), Onnx(), Torch(), ScikitLearn()


def format_of(estimator: Any) -> Format:
    """The format of an estimator.

    Raises
    ------
    TrainingFailed
        If no format knows it.
    """
    for known in formats():
        if known.matches(estimator):
            return known
    kind = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    raise TrainingFailed(f"a {kind} cannot be packed; return {_TAKEN}")


def load_native(
    name: str, files: Mapping[str, bytes], *, columns: tuple[str, ...], categories: Mapping[str, tuple[str, ...]]
) -> Outputs:
    """A model from its files, run by its own library.

    Parameters
    ----------
    name : str
        Of the format.
    columns, categories
        The inputs, and the words of those that are categories.

    Raises
    ------
    IntegrityError
        If no format has the name, or the files cannot be read.
    MissingExtra
        If the library is not installed.
    """
    for known in formats():
        if known.name == name and known.serves:
            return known.load(files, words=words_of(columns, categories))
    raise IntegrityError(f"models of format {name!r} are not served by a library of their own here")
