"""How the arms of an experiment did: what they answered, what came of it, and whether that differs by more than chance.

Units were given to arms, so units are what is drawn for the intervals: they fall into a hundred buckets, and buckets
are drawn with replacement (a bootstrap by clusters; Cameron, Gelbach and Miller, Review of Economics and Statistics 90,
2008). Drawing single predictions would claim more certainty than there is where a unit has many.

The intervals are of a fixed horizon: they hold for one look, when the declared length is over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.models import Model
from octavo.definitions.traffic import CONTROL
from octavo.errors import Conflict, NotFound
from octavo.monitoring.matured import labels_of, latest
from octavo.monitoring.outcomes import TABLE as OUTCOMES
from octavo.monitoring.prediction_log import TABLE as PREDICTIONS
from octavo.monitoring.windows import ANSWERED, UNIT, sampling_step
from octavo.operations import Context
from octavo.release.experiments import StartedArm, StartedExperiment
from octavo.training.metrics import METRICS, Draws, Metric
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]
MOST_ROWS = 500_000
"""Of more answers with an outcome than this, those of some units are judged."""

_BUCKETS, _FEWEST_BUCKETS, _DRAWS = 100, 20, 1_000
_SUSPICIOUS = 0.001
_OF_ARMS = f"""
SELECT id, "group", arm, output, {UNIT} AS unit FROM predictions
WHERE deployment = $deployment AND "at" >= $since AND "at" < $until AND starts_with("group", $prefix) AND {ANSWERED}
"""
_COUNTED = f"""
SELECT "group", count(*) AS predictions, count(DISTINCT unit) AS units, count(*) FILTER (arm <> 'experiment') AS failed,
       avg(output) FILTER (isfinite(output)) AS mean
FROM ({_OF_ARMS}) GROUP BY "group"
"""
_JUDGED = f"""
WITH p AS ({_OF_ARMS}), o AS ({latest("known_at < $now")})
SELECT p."group", p.output, o.value, (hash(p.unit) % {_BUCKETS})::BIGINT AS bucket
FROM p JOIN o ON o.prediction = p.id WHERE isfinite(p.output) AND (hash(p.unit) // {_BUCKETS}) % $step = 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """How one arm did.

    Attributes
    ----------
    units : int
        That asked at least once.
    failed : int
        Predictions on which its version failed, so that the live one answered.
    outcomes : int
        Predictions whose outcome is known and that were judged.
    outcome, metric : Interval or None
        The mean label of its predictions, and the metric of its answers; None with too few units, or undefined.
    outcome_difference, metric_difference : Interval or None
        How far they lie above those of the control; None for the control itself.
    """

    name: str
    model: str
    version: int
    percent: float
    units: int
    predictions: int
    failed: int
    outcomes: int
    mean_prediction: float | None
    outcome: Interval | None
    metric: Interval | None
    outcome_difference: Interval | None
    metric_difference: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """An experiment with what is known of its arms by now.

    Attributes
    ----------
    metric : str or None
        The first that the model declares.
    is_due : bool
        Whether its declared length is over, for which the intervals are made.
    mismatch : str
        Why the arms' numbers of units cannot be by chance; empty if they can. The comparison is not to be trusted then.
    caution : str
        How the intervals are to be read.
    """

    experiment: StartedExperiment
    metric: str | None
    higher_is_better: bool
    is_due: bool
    arms: tuple[ArmResult, ...]
    mismatch: str
    caution: str


def experiment_of(context: Context, deployment: str, experiment: str | None) -> StartedExperiment:
    """One of a deployment's experiments: the newest unless an id is given.

    Raises
    ------
    NotFound
        If there is none of that id.
    Conflict
        If none was started yet.
    """
    with context.transaction() as tx:
        found = tx.find(StartedExperiment, newest_first=True, deployment=deployment)
    if experiment is not None:
        known = [one.id for one in found]
        if experiment not in known:
            raise NotFound(f"experiment of deployment {deployment!r}", experiment, known)
        return found[known.index(experiment)]
    if not found:
        raise Conflict(
            f"no experiment was started in {deployment!r} yet; start one with: "
            f"octavo experiments start {deployment} NAME"
        )
    return found[0]


def report_of(context: Context, experiment: StartedExperiment, *, model: Model) -> ExperimentReport:
    """Compare the arms of an experiment by the outcomes known by now.

    Parameters
    ----------
    model : Model
        The deployment's; its label and its first metric judge all arms.
    """
    now = context.clock.now()
    metric = next((METRICS[name] for name in model.metrics if METRICS[name].task is model.label.task), None)
    counted, judged = _read(context, experiment)
    judge = _Judge(experiment, judged, model=model, metric=metric)
    arms = tuple(
        judge.result(arm, counted.get(experiment.group(arm.name), {}), seed=place)
        for place, arm in enumerate(experiment.arms)
    )
    is_due = (experiment.ended_at or now) >= experiment.due_at
    return ExperimentReport(
        experiment=experiment,
        metric=None if metric is None else metric.name,
        higher_is_better=metric is not None and metric.higher_is_better,
        is_due=is_due,
        arms=arms,
        mismatch=_mismatch(arms),
        caution=_caution(experiment, is_due=is_due),
    )


class _Judge:
    """Draws the arms' buckets, and compares each arm with the control."""

    def __init__(self, experiment: StartedExperiment, judged: pa.Table, *, model: Model, metric: Metric | None) -> None:
        self._experiment = experiment
        self._metric = metric
        groups = judged.column("group").to_numpy()
        labels = labels_of(judged.column("value").to_numpy(), model.label)
        outputs, buckets = judged.column("output").to_numpy(), judged.column("bucket").to_numpy()
        self._rows = {
            arm.name: (labels[chosen], outputs[chosen], buckets[chosen])
            for arm in experiment.arms
            for chosen in [groups == experiment.group(arm.name)]
        }
        control = next(place for place, arm in enumerate(experiment.arms) if arm.name == CONTROL)
        self._control = self._drawn(CONTROL, seed=control)

    def result(self, arm: StartedArm, counted: dict[str, float], *, seed: int) -> ArmResult:
        outcome, metric = drawn = self._drawn(arm.name, seed=seed)
        differences = [
            None if arm.name == CONTROL or ours is None or theirs is None else _interval(ours - theirs)
            for ours, theirs in zip(drawn, self._control, strict=True)
        ]
        return ArmResult(
            name=arm.name,
            model=arm.model,
            version=arm.version,
            percent=arm.percent,
            units=int(counted.get("units", 0)),
            predictions=int(counted.get("predictions", 0)),
            failed=int(counted.get("failed", 0)),
            outcomes=len(self._rows[arm.name][0]),
            mean_prediction=counted.get("mean"),
            outcome=None if outcome is None else _interval(outcome),
            metric=None if metric is None else _interval(metric),
            outcome_difference=differences[0],
            metric_difference=differences[1],
        )

    def _drawn(self, arm: str, *, seed: int) -> tuple[Floats | None, Floats | None]:
        """The mean outcome and the metric of each draw; the first is the rows as they are."""
        labels, outputs, buckets = self._rows[arm]
        known, blocks = np.unique(buckets, return_inverse=True)
        if len(known) < _FEWEST_BUCKETS:
            return None, None
        chances = np.full(len(known), 1 / len(known))
        weights = np.random.default_rng(seed).multinomial(len(known), chances, size=_DRAWS)
        draws = Draws(blocks=blocks, weights=np.vstack([np.ones(len(known)), weights]).astype(np.float64))
        metric = None if self._metric is None else self._metric.weighted
        return _mean_label(labels, outputs, draws), _finite(metric, labels, outputs, draws)


def _mean_label(labels: Floats, outputs: Floats, draws: Draws) -> Floats:
    found: Floats = (np.bincount(draws.blocks, labels) @ draws.weights.T) / (
        np.bincount(draws.blocks) @ draws.weights.T
    )
    return found


def _finite(
    metric: Callable[[Floats, Floats, Draws], Floats] | None, labels: Floats, outputs: Floats, draws: Draws
) -> Floats | None:
    found = None if metric is None else metric(labels, outputs, draws)
    return found if found is not None and np.isfinite(found[0]) else None


def _interval(values: Floats) -> Interval:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(value=float(values[0]), low=float(min(low, values[0])), high=float(max(high, values[0])))


def _read(context: Context, experiment: StartedExperiment) -> tuple[dict[str, dict[str, float]], pa.Table]:
    """Counts by group, and the judged answers."""
    now, tables = context.clock.now(), context.stores.tables
    period: dict[str, object] = {
        "deployment": experiment.deployment,
        "since": experiment.served_at or experiment.started_at,
        "until": experiment.ended_at or now,
        "prefix": experiment.group(""),
        "path": None if experiment.unit is None else f"$.{experiment.unit}",
    }
    counted: dict[str, dict[str, float]] = {}
    try:
        rows = tables.query(_COUNTED, tables={"predictions": PREDICTIONS}, parameters=period).to_pylist()
        counted = {row.pop("group"): row for row in rows}
        step = sampling_step(sum(row["predictions"] for row in rows), most_rows=MOST_ROWS)
        judged = tables.query(
            _JUDGED,
            tables={"predictions": PREDICTIONS, "outcomes": OUTCOMES},
            parameters={**period, "now": now, "step": step},
        )
    except NotFound:  # of a table, as long as nothing was predicted or no outcome is known
        return counted, _NOTHING.empty_table()
    return counted, judged


def _mismatch(arms: Sequence[ArmResult]) -> str:
    """Whether an arm has more or fewer units than its share, by more than chance (Fabijan et al., KDD 2019)."""
    units, whole = sum(arm.units for arm in arms), sum(arm.percent for arm in arms)
    for arm in arms:
        share = arm.percent / whole
        spread = sqrt(units * share * (1 - share))
        if spread and erfc(abs(arm.units - units * share) / spread / sqrt(2)) < _SUSPICIOUS / len(arms):
            return (
                f"arm {arm.name!r} has {arm.units:,} of {units:,} units, where about {units * share:,.0f} were to be "
                "expected; something beside chance decides who asks, so do not trust the comparison"
            )
    return ""


def _caution(experiment: StartedExperiment, *, is_due: bool) -> str:
    if is_due:
        return "95 % intervals of a fixed horizon, drawn by units, over the outcomes known by now"
    return (
        "95 % intervals of a fixed horizon, drawn by units: they hold for one look at "
        f"{experiment.due_at:%Y-%m-%d %H:%M}, when the declared length is over; "
        "whoever stops at the first difference sees one too often"
    )


_NOTHING = pa.schema({"group": pa.string(), "output": pa.float64(), "value": pa.float64(), "bucket": pa.int64()})
