"""A candidate for a release with made-up answers, for tests of gates."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tests.workshop import boosted, declare

from octavo.definitions.datasets import Dataset
from octavo.definitions.gates import Gate
from octavo.definitions.models import Model
from octavo.features.datasets.making import MadeDataset
from octavo.features.datasets.recipes import recipe_of_labels
from octavo.features.datasets.training_sets import TrainingSet
from octavo.registry.champions import Champion
from octavo.registry.gates.candidates import Candidate
from octavo.registry.gates.judging import judge
from octavo.registry.gates.served import ServedLog
from octavo.registry.signing import Signature
from octavo.registry.versions import GateResult, ModelVersion
from octavo.training.assessment import assess, metrics_of
from octavo.training.fit import TrainedModel
from octavo.training.runs import Run, RunStatus

Floats = npt.NDArray[np.float64]
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def version(**metrics: float) -> ModelVersion:
    return ModelVersion(
        model="m",
        version=3,
        digest="",
        signature=Signature(key_id="", value=""),
        run="",
        report="",
        created_at=NOW,
        trained_until=NOW - timedelta(days=1),
        metrics=metrics,
    )


class LastColumn:
    """An estimator that answers what stands in the last column."""

    classes_ = np.array([0, 1])

    def predict(self, rows: Floats) -> Floats:
        return rows[:, -1]

    def predict_proba(self, rows: Floats) -> Floats:
        return np.column_stack([1 - rows[:, -1], rows[:, -1]])


def dataset(model: Model, labels: Floats, predictions: Floats, **columns: Floats) -> Dataset:
    """Rows a minute apart; the last column is what is predicted, the third a baseline that is off by 2."""
    given = {"takings__spent_mean_24h": labels, "takings__events_count_24h": labels, **columns}
    matrix = np.column_stack(
        [
            given["takings__spent_mean_24h"],
            given["takings__events_count_24h"],
            given.get("takings__spent_latest", labels + 2.0),
            predictions,
        ]
    )
    times = np.datetime64("2030-01-01", "us") + np.arange(len(labels)) * np.timedelta64(1, "m")
    return Dataset(columns=model.input_names, X=matrix, y=labels, times=times)


def candidate(
    gates: Sequence[Gate],
    *,
    labels: Floats,
    predictions: Floats,
    champion: Floats | Champion | None = None,
    rows: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Floats] | None = None,
    served: ServedLog | None = None,
    above: float | None = None,
    **more: Any,
) -> Candidate:
    """A version that predicts so.

    Parameters
    ----------
    champion : ndarray or Champion or None
        What the live version predicts.
    rows : mapping of column to values
        What the rows were beside their inputs.
    inputs : mapping of input to values
        In place of what `dataset` makes.
    """
    model = declare(boosted, gates=gates, above=above)
    data = dataset(model, labels, predictions, **(inputs or {}))
    columns = {name: data.X[:, place] for place, name in enumerate(data.columns)}
    training_set = TrainingSet(
        train=data,
        holdout=data,
        as_of=NOW,
        holdout_from=NOW,
        unripe=0,
        stood_in={},
        made=MadeDataset(
            digest="sha256:0", rows=len(data), columns=(), tables={}, recipe=recipe_of_labels(model, as_of=NOW)
        ),
        watched=pa.table(columns | dict(rows or {})),
    )
    report, answers = assess(model, training_set, estimator=LastColumn(), metrics=metrics_of(model))
    run = Run(id="r", model=model.name, status=RunStatus.SUCCEEDED, trigger="user", as_of=NOW, started_at=NOW)
    trained = TrainedModel(
        run=run, model=model, estimator=LastColumn(), training_set=training_set, predictions=answers, report=report
    )
    beside = Champion(version=version(), predictions=champion) if isinstance(champion, np.ndarray) else champion
    return Candidate(trained=trained, predictions=predictions, champion=beside, served=served, **more)


def verdict(gate: Gate, **given: Any) -> GateResult:
    """How one gate judges; takes what `candidate` takes."""
    return judge(candidate([gate], **given))[0]
