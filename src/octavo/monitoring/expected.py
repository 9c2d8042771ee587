"""What a project expects of a model's values, held against the predictions of a window."""

from collections.abc import Mapping

import numpy as np

from octavo.definitions.models import Model
from octavo.errors import NotFound
from octavo.features.expectations import Breach, breaches, text_breaches
from octavo.features.values import FeatureStatus
from octavo.monitoring.prediction_log import TABLE
from octavo.monitoring.windows import IN_PERIOD, Window
from octavo.stores.ports import Tables

_TEXTS = (
    "SELECT json_extract_string(request, $path) AS text, count(*) AS n FROM predictions"
    f" WHERE {IN_PERIOD} AND model = $model GROUP BY ALL ORDER BY ALL"
)


def served_breaches(
    tables: Tables,
    window: Window,
    *,
    inputs: tuple[str, ...],
    model: Model,
    period: Mapping[str, object],
) -> tuple[Breach, ...]:
    """What is not met in a window. Expectations are those in force, so that a new one needs no new version.

    Parameters
    ----------
    inputs : tuple of str
        The columns of the window's matrix.
    period : mapping
        ``deployment``, ``since`` and ``until`` of the window.
    """
    found: list[Breach] = []
    for name, expected in model.expectations.items():
        is_text = name in model.category_names or name not in model.input_names
        if name in inputs and not is_text:
            place = inputs.index(name)
            values = window.matrix[:, place]
            absent = np.isnan(values) | np.isin(window.status[:, place], (FeatureStatus.DEFAULT, FeatureStatus.UNREAD))
            found += breaches(name, expected, values, absent=absent)
        elif is_text:
            texts = _texts(tables, {**period, "model": model.name, "path": f'$."{name}"'})
            found += text_breaches(name, expected, texts)
    return tuple(found)


def _texts(tables: Tables, parameters: Mapping[str, object]) -> dict[str | None, int]:
    """How often each string of a request field was sent; None for requests without it."""
    try:
        counted = tables.query(_TEXTS, tables={"predictions": TABLE}, parameters=parameters)
    except NotFound:
        return {}
    return dict(zip(counted.column("text").to_pylist(), counted.column("n").to_pylist(), strict=True))
