"""Which format an estimator has."""

from typing import Any

from octavo.errors import TrainingFailed
from octavo.registry.formats import Format
from octavo.registry.formats.lightgbm import LightGBM
from octavo.registry.formats.sklearn import ScikitLearn

FORMATS: tuple[Format, ...] = (LightGBM(), ScikitLearn())


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
    names = ", ".join(known.name for known in FORMATS)
    raise TrainingFailed(f"a {kind} cannot be packed; return an estimator of one of: {names}")
