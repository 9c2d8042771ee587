"""Performance: the model's metric over matured outcomes against what it was on the held-out rows."""

from dataclasses import dataclass

import numpy as np

from octavo.definitions.deployments import Monitor
from octavo.definitions.models import Model
from octavo.errors import InvalidRequest
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.matured import Matured, labels_of
from octavo.monitoring.wording import movements, number, percent
from octavo.training.evaluation import evaluate
from octavo.training.metrics import METRICS
from octavo.training.reports import Interval, Report

MOST_ROWS = 50_000
"""Of more outcomes than this, so many are judged, spread evenly over the window."""

_SMALLEST_ERROR = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A metric over the outcomes that became known in the window.

    Attributes
    ----------
    observed, held_out : Interval
        Of those outcomes, and of the report's held-out rows.
    growth : float
        By which part the error is greater than on the held-out rows: 0.25 is a quarter, below 0 is better. The error is
        the metric itself, or one minus it where higher is better.
    rows : int
        Outcomes that were judged.
    """

    metric: str
    observed: Interval
    held_out: Interval
    growth: float
    rows: int

    @property
    def is_certain(self) -> bool:
        """Whether the whole interval is worse than the held-out value."""
        if METRICS[self.metric].higher_is_better:
            return self.observed.high < self.held_out.value
        return self.observed.low > self.held_out.value


def declared_metric(model: Model, report: Report) -> str | None:
    """The metric by which a version is judged: the first that the model declares and the report has.

    None if there is none, or the model has become one of another task since the version was trained.
    """
    if model.task is not report.task:
        return None
    return next((name for name in model.metrics if name in report.metrics), None)


def measure_performance(matured: Matured, *, model: Model, report: Report) -> Performance | None:
    """How a version did over outcomes; None if no metric can be told of them.

    Parameters
    ----------
    matured : Matured
        Of the version's own predictions.
    """
    name = declared_metric(model, report)
    if name is None or not len(matured):
        return None
    rows = np.unique(np.linspace(0, len(matured) - 1, min(len(matured), MOST_ROWS)).astype(np.intp))
    labels = labels_of(matured.values[rows], model.label)
    try:
        observed = evaluate(labels, matured.outputs[rows], metrics=(name,), task=report.task)[name]
    except InvalidRequest:  # the labels do not vary, where the metric needs that
        return None
    held_out = report.metrics[name]
    return Performance(
        metric=name,
        observed=observed,
        held_out=held_out,
        growth=_error(observed.value, metric=name) / max(_error(held_out.value, metric=name), _SMALLEST_ERROR) - 1,
        rows=len(rows),
    )


def judge_performance(
    performance: Performance | None, monitor: Monitor, *, outcomes: int, inputs: tuple[InputLook, ...]
) -> Finding:
    """Whether the error has grown, by more than is allowed and more than chance explains.

    Parameters
    ----------
    outcomes : int
        Of the version's predictions, in the window.
    inputs : tuple of InputLook
        The one that contributes most to the drift first; for the cause.
    """
    if performance is None:
        why = "the metric is undefined for the window's outcomes"
        if outcomes < monitor.min_rows:
            why = f"fewer than {monitor.min_rows} outcomes in the window"
        return _finding(Verdict.UNKNOWN, monitor, subject="outcomes", value=None, summary=why)
    unhealthy = performance.growth > monitor.degradation and performance.is_certain
    verdict = Verdict.UNHEALTHY if unhealthy else Verdict.HEALTHY
    summary = _summary(performance)
    moved = movements(tuple(look for look in inputs if look.contribution > 0))
    cause = f"{summary}; the inputs that moved most: {moved}" if moved else summary
    return _finding(
        verdict,
        monitor,
        subject=performance.metric,
        value=performance.growth,
        summary=summary,
        cause=cause if unhealthy else "",
    )


def _finding(
    verdict: Verdict, monitor: Monitor, *, subject: str, value: float | None, summary: str, cause: str = ""
) -> Finding:
    return Finding(
        kind=IncidentKind.PERFORMANCE,
        verdict=verdict,
        subject=subject,
        value=value,
        threshold=monitor.degradation,
        summary=summary,
        cause=cause,
    )


def _summary(performance: Performance) -> str:
    """``mae 29.1 (23.3 to 35.8) over 812 outcomes, on the held-out rows 18.4: the error is 58 % greater``."""
    observed, held_out, growth = performance.observed, performance.held_out, performance.growth
    change = f"{percent(abs(growth))} {'greater' if growth > 0 else 'smaller'}"
    return (
        f"{performance.metric} {number(observed.value)} ({number(observed.low)} to {number(observed.high)}) over "
        f"{performance.rows:,} outcomes, on the held-out rows {number(held_out.value)}: the error is {change}"
    )


def _error(value: float, *, metric: str) -> float:
    return 1 - value if METRICS[metric].higher_is_better else value
