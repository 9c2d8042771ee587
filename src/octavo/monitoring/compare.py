"""What another version would have answered: recorded inputs replayed, judged by the outcomes that came."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.deployments import Deployment
from octavo.definitions.models import Model
from octavo.errors import Conflict, InvalidRequest, NotFound
from octavo.monitoring.matured import labels_of, latest
from octavo.monitoring.opened import open_model
from octavo.monitoring.outcomes import TABLE as OUTCOMES
from octavo.monitoring.performance import declared_metric
from octavo.monitoring.prediction_log import TABLE as PREDICTIONS
from octavo.monitoring.references import Reference, in_its_words, reference_of, same_inputs, version_of
from octavo.monitoring.windows import COUNT, IN_PERIOD, matrix_of, sampling_step, with_inputs
from octavo.operations import Context
from octavo.training.evaluation import difference, evaluate
from octavo.training.metrics import METRICS, Metric
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]
MOST_ROWS = 200_000
"""Of more answers than this a sample of about as many is replayed."""

_JUDGED = f"""
SELECT p.digest, p.inputs, p.status, p.output, o.value
FROM ({latest("known_at < $now")}) AS o JOIN predictions AS p ON p.id = o.prediction
WHERE {IN_PERIOD} AND isfinite(p.output) AND hash(p.id) % $step = 0
ORDER BY p."at", p.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answers that were given in [since, until) beside those of one version for the same inputs.

    Attributes
    ----------
    rows : int
        Answered predictions with a matured outcome and the version's inputs.
    skipped : int
        Those with an outcome, but made from other inputs, so that they cannot be replayed.
    error_live, error_other : Interval or None
        The metric of the answers that were given, by whichever version was live then, and of the version's; None
        without rows, or where the metric is undefined.
    difference : Interval or None
        How far `error_live` lies above `error_other`, on the same rows.
    higher_is_better : bool
        Of the metric.
    """

    deployment: str
    model: str
    version: int
    since: datetime
    until: datetime
    metric: str
    higher_is_better: bool
    rows: int
    skipped: int
    error_live: Interval | None
    error_other: Interval | None
    difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """The answers that were given beside those of another version, with the labels; all of shape (n_rows,)."""

    given: Floats
    other: Floats
    labels: Floats


def compare(context: Context, deployment: Deployment, *, version: int, since: datetime, until: datetime) -> Comparison:
    """Replay the recorded inputs of [since, until) through a version, and judge both by the outcomes known by now.

    Outcomes count whenever they became known. Answers that a canary gave are among those that were given; what shadows
    said is not.

    Raises
    ------
    NotFound
        If there is no such version.
    InvalidRequest
        If the period ends before it begins.
    IntegrityError
        If the version's bundle is gone or damaged.
    PredictionFailed
        If what comes after its model fails.
    Conflict
        If the version was trained for another task than the model now has, or the model declares no metric of it.
    """
    if since > until:
        raise InvalidRequest("the period ends before it begins", field="until", fix="send a moment not before `since`")
    model = deployment.model
    reference = reference_of(context, version_of(context, model.name, version))
    name = declared_metric(model, reference.report)
    if name is None:
        raise Conflict(f"{model.name} {version} cannot be judged by any metric that the model declares now")
    judged = _judged(context, deployment.name, since=since, until=until)
    fitting = with_inputs(
        judged,
        n_inputs=len(reference.inputs),
        fits=partial(same_inputs, reference, artifacts=context.stores.artifacts),
    )
    answers = _replayed(context, reference, fitting, model=model)
    errors = _errors(answers, metric=METRICS[name])
    return Comparison(
        deployment=deployment.name,
        model=model.name,
        version=version,
        since=since,
        until=until,
        metric=name,
        higher_is_better=METRICS[name].higher_is_better,
        rows=len(answers.labels),
        skipped=judged.num_rows - len(answers.labels),
        error_live=errors[0] if errors else None,
        error_other=errors[1] if errors else None,
        difference=errors[2] if errors else None,
    )


def _judged(context: Context, deployment: str, *, since: datetime, until: datetime) -> pa.Table:
    """Answered predictions with their outcomes, in the order in which they were made."""
    tables = context.stores.tables
    period: dict[str, object] = {"deployment": deployment, "since": since, "until": until}
    try:
        counted = tables.query(COUNT, tables={"predictions": PREDICTIONS}, parameters=period).to_pylist()[0]["n"]
        return tables.query(
            _JUDGED,
            tables={"predictions": PREDICTIONS, "outcomes": OUTCOMES},
            parameters={**period, "now": context.clock.now(), "step": sampling_step(counted, most_rows=MOST_ROWS)},
        )
    except NotFound:
        return _NOTHING.empty_table()


def _replayed(context: Context, reference: Reference, rows: pa.Table, *, model: Model) -> _Answers:
    """Both answers of rows, without those for which the version gives no finite number."""
    matrix = in_its_words(
        reference,
        matrix_of(rows.column("inputs"), np.float32, width=len(reference.inputs)),
        rows.column("digest").to_numpy(),
        artifacts=context.stores.artifacts,
    )
    opened = open_model(context.stores.artifacts, reference.version.digest)
    other = opened.predict(matrix) if len(matrix) else np.empty(0)
    finite = np.isfinite(other)
    labels = labels_of(rows.column("value").to_numpy(), model.label)
    return _Answers(given=rows.column("output").to_numpy()[finite], other=other[finite], labels=labels[finite])


def _errors(answers: _Answers, *, metric: Metric) -> tuple[Interval, Interval, Interval] | None:
    """The metric of the given answers, of the version's, and their difference; None where it is undefined."""
    try:
        given, other = (
            evaluate(answers.labels, outputs, metrics=(metric.name,), task=metric.task)[metric.name]
            for outputs in (answers.given, answers.other)
        )
        return given, other, difference(answers.labels, ours=answers.given, theirs=answers.other, metric=metric)
    except InvalidRequest:
        return None


_NOTHING = pa.schema(
    {"digest": pa.string(), "inputs": pa.binary(), "status": pa.binary(), "output": pa.float64(), "value": pa.float64()}
)
