"""Labelled rows with their features as they were known at each decision."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.clock import to_micros
from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model
from octavo.features.categories import places_of, vocabulary_of
from octavo.features.datasets.making import DatasetSlice, MadeDataset, make_dataset, pin_tables
from octavo.features.datasets.recipes import DECIDED, KNOWN, LABEL, recipe_of_labels
from octavo.features.expectations import Breach, breaches_of_rows
from octavo.features.inputs import array_of
from octavo.stores.ports import Tables


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
    stood_in : mapping of input to ndarray, shape (n_train,), bool
        In which rows of `train` the default of an input stands in; an input of which it never does is not in it.
    made : MadeDataset
        All rows, uncut: what is kept on record.
    breaches : tuple of Breach
        What is expected of values and not met by the rows of `train`.
    watched : pa.Table or None
        The rows of `holdout` as they are kept: request fields, entity keys, what gates look at, and inputs by name.
    """

    train: Dataset
    holdout: Dataset
    as_of: datetime
    holdout_from: datetime
    unripe: int
    stood_in: Mapping[str, npt.NDArray[np.bool_]]
    made: MadeDataset
    breaches: tuple[Breach, ...] = ()
    watched: pa.Table | None = None

    @property
    def digest(self) -> str:
        """Of the content of all rows."""
        return self.made.digest

    @property
    def table_versions(self) -> Mapping[str, int]:
        """The tables that were read; -1 for one that does not exist."""
        return self.made.tables


def build_training_set(
    tables: Tables, model: Model, *, as_of: datetime, versions: Mapping[str, int] | None = None
) -> TrainingSet:
    """Build the training set of a model from what was known before a moment.

    Its rows are those of `recipe_of_labels`, its features those known before each decision.

    Parameters
    ----------
    versions : mapping of table to version
        Of the tables, pinned, to make again what was made of these; as they are now unless given.

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
    recipe = recipe_of_labels(model, as_of=as_of)
    slices: list[DatasetSlice] = []
    made = make_dataset(
        tables, recipe, versions=versions or pin_tables(tables, recipe), take=slices.append, functions=model.on_demand
    )
    rows = pa.concat_tables([piece.rows for piece in slices])
    matrices = [piece.matrix for piece in slices if piece.matrix is not None]
    times, known, labels = (array_of(rows.column(name)) for name in (DECIDED, KNOWN, LABEL))
    matrix = np.concatenate([matrix.values for matrix in matrices])
    holdout_from = as_of - timedelta(seconds=model.holdout_s)
    border = np.datetime64(to_micros(holdout_from), "us")
    trained, held_out = (times < border) & (known < border), times >= border
    stood_in = np.concatenate([matrix.stood_in for matrix in matrices])[trained]
    categories = _put_categories(model, rows, into=matrix, trained=trained)
    whole = Dataset(columns=model.input_names, X=matrix, y=labels, times=times, categories=categories)
    train = _where(whole, trained)
    return TrainingSet(
        train=train,
        holdout=_where(whole, held_out),
        as_of=as_of,
        holdout_from=holdout_from,
        unripe=int((~trained & ~held_out).sum()),
        stood_in={name: stood_in[:, place] for place, name in enumerate(model.input_names) if stood_in[:, place].any()},
        breaches=breaches_of_rows(
            model, train.X, stood_in=stood_in, texts=lambda name: _counts(rows.column(name).filter(pa.array(trained)))
        ),
        made=made,
        watched=rows.filter(pa.array(held_out)),
    )


def _put_categories(
    model: Model, rows: pa.Table, *, into: npt.NDArray[np.float64], trained: npt.NDArray[np.bool_]
) -> dict[str, tuple[str, ...]]:
    """Put the places of words into the matrix; returns the vocabulary of each category."""
    found: dict[str, tuple[str, ...]] = {}
    for name in model.category_names:
        words = rows.column(name)
        found[name] = vocabulary_of(words.filter(pa.array(trained)), name=name, expected=model.expectations.get(name))
        into[:, model.input_names.index(name)] = places_of(words, found[name])
    return found


def _counts(texts: pa.ChunkedArray) -> dict[str | None, int]:
    return {each["values"]: each["counts"] for each in pc.value_counts(texts).to_pylist()}


def _where(dataset: Dataset, chosen: npt.NDArray[np.bool_]) -> Dataset:
    return replace(dataset, X=dataset.X[chosen], y=dataset.y[chosen], times=dataset.times[chosen])
