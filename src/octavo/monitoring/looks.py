"""A look at a deployment: how its live version did in the window before a moment, and what follows for incidents."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar

import numpy as np

from octavo.definitions.deployments import Deployment, Monitor
from octavo.definitions.models import Model
from octavo.features.expectations import Breach
from octavo.monitoring.drift.psi import bin_counts, expected_shares, stability_index
from octavo.monitoring.drift.weighted import judge_drift, weighted_drift
from octavo.monitoring.expected import served_breaches
from octavo.monitoring.findings import Finding
from octavo.monitoring.inputs import InputLook, look_at_inputs
from octavo.monitoring.lifecycle import Subject, follow
from octavo.monitoring.matured import read_matured
from octavo.monitoring.performance import Performance, judge_performance, measure_performance
from octavo.monitoring.quality import judge_quality
from octavo.monitoring.references import Reference, in_its_words, reference_of, same_inputs, version_of
from octavo.monitoring.staleness import judge_staleness
from octavo.monitoring.windows import Window, read_window
from octavo.operations import Context
from octavo.release.releases import DeploymentState
from octavo.stores.ports import Notice, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of a deployment at a moment, in the window [since, at).

    Attributes
    ----------
    version : int or None
        The live version; None if there was none, and then nothing else is known.
    predictions : int
        Answers given in the window, by whichever version; what shadows said is not among them.
    outcomes : int
        Outcomes of the live version's predictions that became known in the window.
    drift : float or None
        Of the inputs, weighted by importance; None if there are too few predictions.
    prediction_drift : float or None
        Population stability index of the live version's outputs against those for the held-out rows; for information,
        because a few held-out weeks are no measure of what is usual. None if there are too few.
    inputs : tuple of InputLook
        The one that contributes most to the drift first; empty if there are too few predictions.
    breaches : tuple of Breach
        What the project expects of the model's values and the window's predictions do not meet.
    performance : Performance or None
        None if too few outcomes have matured.
    trained_until : datetime or None
        Before this moment everything was known that the live version learned from.
    newest_prediction_at, newest_outcome_at : datetime or None
        Of the deployment, seen at this or an earlier look.
    findings : tuple of Finding
        One for each kind of incident.
    """

    kind: ClassVar[str] = "look"

    deployment: str
    model: str
    version: int | None
    at: datetime
    since: datetime
    predictions: int = 0
    outcomes: int = 0
    drift: float | None = None
    prediction_drift: float | None = None
    inputs: tuple[InputLook, ...] = ()
    breaches: tuple[Breach, ...] = ()
    performance: Performance | None = None
    trained_until: datetime | None = None
    newest_prediction_at: datetime | None = None
    newest_outcome_at: datetime | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def key(self) -> str:
        return look_key(self.deployment, self.at)


def look_key(deployment: str, at: datetime) -> str:
    """The key of the look at a deployment at a moment."""
    return f"{deployment}/{at.isoformat()}"


def newest_looks(tx: Transaction, deployment: str, *, limit: int) -> list[Look]:
    """The looks taken last, the newest last."""
    return tx.find(Look, newest_first=True, limit=limit, deployment=deployment)[::-1]


def look(context: Context, deployment: Deployment, *, at: datetime) -> Look:
    """Look at a deployment as it was in the window before a moment; open, update and resolve its incidents.

    Idempotent: a second look at the same moment is the first one. One at a moment before the newest look is kept, but
    changes no incident. Without a live version there is nothing to look at, and nothing is kept.

    Returns
    -------
    Look
        Only what is in the tables counts: ship predictions and outcomes first.

    Raises
    ------
    IntegrityError
        If the bundle of the live version is gone or damaged.
    """
    with context.transaction() as tx:
        taken = tx.get(Look, look_key(deployment.name, at))
        state = tx.get(DeploymentState, deployment.name)
    if taken is not None:
        return taken
    since = at - timedelta(seconds=deployment.monitor.window_s)
    if state is None or state.live is None:
        return Look(deployment=deployment.name, model=deployment.model.name, version=None, at=at, since=since)
    reference = reference_of(context, version_of(context, state.model, state.live))
    model = context.project.models.get(state.model, deployment.model)
    begun = Look(deployment=deployment.name, model=state.model, version=state.live, at=at, since=since)
    seen = _seen(context, begun, deployment.monitor, reference=reference, model=model)
    return _keep(context, seen, deployment.monitor)


def _seen(context: Context, begun: Look, monitor: Monitor, *, reference: Reference, model: Model) -> Look:
    """The look with what the tables tell."""
    tables, digest = context.stores.tables, reference.version.digest
    window = read_window(
        tables,
        begun.deployment,
        since=begun.since,
        until=begun.at,
        n_inputs=len(reference.inputs),
        fits=partial(same_inputs, reference, artifacts=context.stores.artifacts),
    )
    artifacts = context.stores.artifacts
    window = replace(window, matrix=in_its_words(reference, window.matrix, window.digests, artifacts=artifacts))
    period: dict[str, object] = {"deployment": begun.deployment, "since": begun.since, "until": begun.at}
    matured = read_matured(tables, begun.deployment, since=begun.since, until=begun.at)
    own = matured.of(digest)
    enough, matured_enough = len(window) >= monitor.min_rows, len(own) >= monitor.min_rows
    inputs = look_at_inputs(window, reference, length_s=_covered_s(window, begun.at)) if enough else ()
    return replace(
        begun,
        predictions=window.predictions,
        outcomes=len(own),
        inputs=inputs,
        breaches=served_breaches(tables, window, inputs=reference.inputs, model=model, period=period) if enough else (),
        drift=weighted_drift(inputs),
        prediction_drift=_prediction_drift(window, reference, min_rows=monitor.min_rows),
        performance=measure_performance(own, model=model, report=reference.report) if matured_enough else None,
        trained_until=reference.version.trained_until,
        newest_prediction_at=window.newest_at,
        newest_outcome_at=matured.newest_known_at,
    )


def _covered_s(window: Window, until: datetime) -> float:
    """How long ago the first prediction of a window was made: less than the window's length while traffic is new."""
    assert window.oldest_at is not None
    return max((until - window.oldest_at).total_seconds(), 1.0)


def _prediction_drift(window: Window, reference: Reference, *, min_rows: int) -> float | None:
    own = window.outputs[(window.digests == reference.version.digest) & np.isfinite(window.outputs)]
    if len(own) < min_rows:
        return None
    profile, rows = reference.report.prediction, reference.report.holdout.rows
    index = stability_index(expected_shares(profile), bin_counts(profile, own), baseline_rows=rows)
    return max(float(index), 0.0)


def _keep(context: Context, seen: Look, monitor: Monitor) -> Look:
    """Judge and record a look, with what follows from it; another process may have been faster."""
    notices: list[Notice] = []
    with context.transaction() as tx:
        taken = tx.get(Look, seen.key)
        if taken is not None:
            return taken
        before = newest_looks(tx, seen.deployment, limit=1)
        is_newest = not before or before[0].at < seen.at
        judged = _judged(seen, before[0] if before and is_newest else None, monitor)
        tx.add(judged)
        if is_newest:
            notices = follow(tx, judged.findings, _subject(judged), clock=context.clock)
    for notice in notices:
        context.stores.notifier.send(notice)
    return judged


def _judged(seen: Look, before: Look | None, monitor: Monitor) -> Look:
    """The look with what an earlier one saw last, and with its findings."""
    if before is not None:
        seen = replace(
            seen,
            newest_prediction_at=seen.newest_prediction_at or before.newest_prediction_at,
            newest_outcome_at=seen.newest_outcome_at or before.newest_outcome_at,
        )
    return replace(
        seen,
        findings=(
            judge_performance(seen.performance, monitor, outcomes=seen.outcomes, inputs=seen.inputs),
            judge_drift(seen.inputs, monitor),
            judge_quality(seen.inputs, monitor, breaches=seen.breaches),
            judge_staleness(
                at=seen.at, predictions=seen.predictions, newest_outcome_at=seen.newest_outcome_at, monitor=monitor
            ),
        ),
    )


def _subject(look: Look) -> Subject:
    assert look.version is not None
    return Subject(deployment=look.deployment, model=look.model, version=look.version, at=look.at)
