"""Labelled rows with their features as they were known at each decision."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.clock import to_micros
from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model
from octavo.features.functions import compute
from octavo.features.historical import historical_features
from octavo.features.payloads import EVENT_ID, table_of
from octavo.features.readings import float32
from octavo.features.sql import quoted
from octavo.stores.ports import Tables

_DECIDED, _KNOWN, _LABEL = "_decided_at", "_known_at", "_label"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """What a model may learn from as of a moment, cut in time.

    Attributes
    ----------
    train : Dataset
        Rows decided before `holdout_from` whose labels were known before it too, so that nothing of the held-out
        stretch is in them.
    holdout : Dataset
        Rows decided from `holdout_from` on.
    unripe : int
        Rows decided before `holdout_from` whose labels became known later; they are in neither.
    digest : str
        ``sha256:`` and 64 hex digits, over the content of both datasets.
    table_versions : mapping of table to version
        The tables that were read; -1 for one that does not exist.
    """

    train: Dataset
    holdout: Dataset
    as_of: datetime
    holdout_from: datetime
    unripe: int
    digest: str
    table_versions: Mapping[str, int]


def build_training_set(tables: Tables, model: Model, *, as_of: datetime) -> TrainingSet:
    """Build the training set of a model from what was known before a moment.

    A row of the label's source is a labelled case if its label is not null and became known before `as_of`, and not
    before the decision itself. Its features are those known before its decision. Rows are ordered by decision time and
    event id, so that equal tables give an equal digest.

    Returns
    -------
    TrainingSet
        Its datasets are empty if there are no such rows.

    Raises
    ------
    NotFound
        If there are no events of the label's source at all.
    PredictionFailed
        If an on-demand feature fails.
    """
    read = dict.fromkeys(table_of(source.name) for source in (model.label.source, *(v.source for v in model.views)))
    versions = {table: tables.version(table) for table in read}
    cases = _cases(tables, model, as_of=as_of)
    rows = historical_features(tables, model.views, spine=cases, at=_DECIDED)
    times = _array(cases.column(_DECIDED))
    known = _array(cases.column(_KNOWN))
    whole = Dataset(columns=model.input_names, X=_matrix(model, rows), y=_labels(model, cases), times=times)
    holdout_from = as_of - timedelta(seconds=model.holdout_s)
    border = np.datetime64(to_micros(holdout_from), "us")
    train, holdout = _where(whole, (times < border) & (known < border)), _where(whole, times >= border)
    return TrainingSet(
        train=train,
        holdout=holdout,
        as_of=as_of,
        holdout_from=holdout_from,
        unripe=len(whole) - len(train) - len(holdout),
        digest=_digest(train, holdout),
        table_versions=versions,
    )


def _cases(tables: Tables, model: Model, *, as_of: datetime) -> pa.Table:
    """Labelled cases: request fields and entity keys by name, the decision time, the label and when it became known."""
    label, source = model.label, model.label.source
    decided, known, truth = quoted(label.at), quoted(source.available_at), quoted(label.column)
    fields = dict.fromkeys([*(f.name for f in model.request_fields), *(view.entity.key for view in model.views)])
    selected = [quoted(name) for name in fields]
    selected += [f"{decided} AS {_DECIDED}", f"{known} AS {_KNOWN}", f"{truth}::DOUBLE AS {_LABEL}"]
    conditions = [f"{known} < $as_of", f"{decided} <= {known}", f"{truth} IS NOT NULL"]
    parameters: dict[str, object] = {"as_of": as_of}
    if model.history_s is not None:
        conditions.append(f"{decided} >= $since")
        parameters["since"] = as_of - timedelta(seconds=model.history_s)
    return tables.query(
        f"SELECT {', '.join(selected)} FROM events WHERE {' AND '.join(conditions)} ORDER BY {decided}, {EVENT_ID}",
        tables={"events": table_of(source.name)},
        parameters=parameters,
    )


def _labels(model: Model, cases: pa.Table) -> npt.NDArray[np.float64]:
    truth = _array(cases.column(_LABEL))
    return truth if model.label.above is None else (truth > model.label.above).astype(np.float64)


def _matrix(model: Model, rows: pa.Table) -> npt.NDArray[np.float64]:
    """The model's inputs in their order, rounded to the float32 that a predictor has."""
    fields = {f.name: _array(rows.column(f.name)) for f in model.request_fields}
    computed: Mapping[str, npt.NDArray[Any]] = {**fields, **compute(model.on_demand, fields, rows.num_rows)}
    matrix = np.empty((rows.num_rows, len(model.input_names)), np.float64)
    for place, name in enumerate(model.input_names):
        matrix[:, place] = computed[name] if name in computed else _array(rows.column(name))
    return float32(matrix).astype(np.float64)


def _array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column as on-demand features take it: nulls are NaN, NaT or None."""
    if column.null_count and (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
        column = column.cast(pa.float64())
    array: npt.NDArray[Any] = column.to_numpy()
    return array


def _where(dataset: Dataset, chosen: npt.NDArray[np.bool_]) -> Dataset:
    return Dataset(columns=dataset.columns, X=dataset.X[chosen], y=dataset.y[chosen], times=dataset.times[chosen])


def _digest(*datasets: Dataset) -> str:
    content = hashlib.sha256()
    for dataset in datasets:
        content.update(msgspec.json.encode([dataset.columns, len(dataset)]))
        for array in (dataset.X, dataset.y, dataset.times.astype(np.int64)):
            # NaN has many bit patterns and zero has two; each counts as one.
            plain = np.where(np.isnan(array), np.nan, array + 0)
            content.update(np.ascontiguousarray(plain, dtype=plain.dtype.newbyteorder("<")).tobytes())
    return f"sha256:{content.hexdigest()}"
