"""What starts a retraining by the same code on newer data: incidents, new rows, age, better parameters, the calendar.

Of each model one training is under way at a time, and none while a release of it is. An incident brings about one; only
when that did not help is another tried, after ever longer pauses. A trigger that keeps failing starts none any more
(`octavo.loop.policies`).
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from octavo.definitions.deployments import Deployment
from octavo.definitions.models import Model
from octavo.definitions.triggers import Trigger, TriggerKind
from octavo.definitions.types import seconds
from octavo.errors import NotFound
from octavo.features.events.payloads import table_of
from octavo.features.offline.sql import quoted
from octavo.loop.policies import is_suspended, note_started, settle
from octavo.loop.retrainings import Retraining, note, started
from octavo.loop.trainings import deployments_of, live_version, request_training, under_way
from octavo.monitoring.incidents import Incident, open_incidents
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.release.rollout import entered_at
from octavo.stores.ports import Transaction
from octavo.training.metrics import METRICS
from octavo.training.runs import Run, RunStatus
from octavo.training.sweeps import SWEEP, TRIAL

log = logging.getLogger(__name__)

SWEPT = "octavo.swept"
"""Tag of runs whose parameters a sweep has found."""

SWEEP_TRIGGER = "sweep"
_BY_INCIDENT = (TriggerKind.DRIFT, TriggerKind.PERFORMANCE)
_LONGEST_PAUSE = timedelta(days=30)
_LABELLED = """
SELECT count(*) AS n FROM events WHERE {column} IS NOT NULL AND {known} >= $since AND {known} < $until
"""


def after_look(context: Context, deployment: Deployment, *, at: datetime) -> list[Run]:
    """Request the retrainings that are due after a look at a deployment."""
    model = deployment.model
    settle(context, model, at=at)
    with context.transaction() as tx:
        within = replace(context, tx=tx)
        requested = [_for_incident(within, tx, deployment, i, at=at) for i in _incidents(tx, deployment)]
    requested += [_for_new_rows(context, model, trigger, at=at) for trigger in _of(model, TriggerKind.NEW_ROWS)]
    requested += [_for_age(context, model, trigger, at=at) for trigger in _of(model, TriggerKind.STALENESS)]
    requested += [_for_better(context, model, trigger) for trigger in _of(model, TriggerKind.BETTER_FOUND)]
    return [run for run in requested if run is not None]


def by_calendar(context: Context, model: Model, trigger: Trigger) -> Run | None:
    """Request the retraining that the calendar says; None if the model is busy, or the trigger is suspended."""
    settle(context, model, at=context.clock.now())
    with context.transaction() as tx:
        if is_suspended(tx, model.name, trigger):
            log.warning("%s is due by %s, which is suspended", model.name, trigger.name)
            return None
        if not _is_busy(context, tx, model.name):
            return _request(replace(context, tx=tx), tx, model.name, trigger)
    log.warning("%s is due by %s, but is being trained or released already", model.name, trigger.name)
    return None


def _incidents(tx: Transaction, deployment: Deployment) -> list[Incident]:
    """The open incidents that the model is to be retrained for."""
    kinds = {str(trigger.kind) for trigger in deployment.model.retrain if trigger.kind in _BY_INCIDENT}
    return [i for i in open_incidents(tx, deployment.name) if str(i.incident_kind) in kinds]


def _for_incident(
    context: Context, tx: Transaction, deployment: Deployment, incident: Incident, *, at: datetime
) -> Run | None:
    model, known = deployment.model.name, tx.get(Retraining, incident.id)
    trigger = next(one for one in deployment.model.retrain if str(one.kind) == str(incident.incident_kind))
    if is_suspended(tx, model, trigger):
        return None
    if known is not None and known.runs:
        if not _is_to_be_tried_again(tx, deployment, known, at=at):
            return None
    elif _is_on_trial(tx, deployment, incident, at=at):
        return None
    shared = [run for run in under_way(tx, model) if run.as_of >= incident.opened_at]
    if not shared and _is_busy(context, tx, model):
        return None
    run = shared[0] if shared else _request(context, tx, model, trigger, cause=f" incident {incident.id}")
    started(tx, incident.id, model=model, run=run.id)
    text = f"retraining on what was known at {run.as_of:%Y-%m-%d %H:%M}"
    note(tx, incident.id, at=at, text=f"{text}, which is under way already" if shared else text)
    return None if shared else run


def _request(
    context: Context,
    tx: Transaction,
    model: str,
    trigger: Trigger,
    *,
    cause: str = "",
    params: Mapping[str, str] | None = None,
) -> Run:
    """Ask for a training that nobody asked for, and record that.

    Parameters
    ----------
    cause : str
        What follows the trigger's name in the record.
    params : mapping or None
        Those of the live version's training, if they were found by a sweep, unless given.
    """
    given = _found_by_sweep(context, tx, model) if params is None else params
    run = request_training(context, model, trigger=f"{trigger.name}{cause}", params=given)
    if given:
        kept = replace(run, tags={**run.tags, SWEPT: "yes"})
        tx.replace(run, kept)
        run = kept
    note_started(tx, model, trigger, run=run.id)
    context.audit(tx, "runs.request", target=f"model={model} run={run.id} trigger={trigger.name}{cause}")
    return run


def _is_on_trial(tx: Transaction, deployment: Deployment, incident: Incident, *, at: datetime) -> bool:
    """Whether the incident is of a version replaced since, by one that has not had a window to show itself."""
    state = tx.get(DeploymentState, deployment.name)
    if state is None or state.live is None or state.live == incident.version:
        return False
    live = tx.find(Release, deployment=deployment.name, state=ReleaseState.LIVE)
    return any(at < entered_at(release) + timedelta(seconds=deployment.monitor.window_s) for release in live)


def _is_to_be_tried_again(tx: Transaction, deployment: Deployment, known: Retraining, *, at: datetime) -> bool:
    """Whether an incident's last training did not help, and the pause after that is over; sets the pause if need be."""
    if known.again_at is not None:
        return at >= known.again_at
    reason = _why_it_did_not_help(tx, deployment, known.runs[-1], at=at)
    if reason:
        tries = len(known.runs)
        pause = min(timedelta(seconds=deployment.monitor.window_s) * 2 ** min(tries - 1, 16), _LONGEST_PAUSE)
        tx.replace(known, replace(known, again_at=at + pause))
        text = f"retraining {tries} did not help: {reason}; the next follows after {at + pause:%Y-%m-%d %H:%M}"
        note(tx, known.incident, at=at, text=text)
    return False


def _why_it_did_not_help(tx: Transaction, deployment: Deployment, run_id: str, *, at: datetime) -> str:
    """Why a training is no answer to an incident that is still open; empty as long as it may become one."""
    run = tx.get(Run, run_id)
    if run is None or run.status in (RunStatus.FAILED, RunStatus.KILLED):
        return f"it failed ({run.error.splitlines()[0] if run and run.error else 'no record of it is left'})"
    version = tx.get(ModelVersion, f"{run.model}/{run.version}") if run.version else None
    if version is None:
        return ""
    if failed := version.held_by(at):
        return f"version {version.version} did not pass {failed[0].gate}"
    releases = tx.find(Release, deployment=deployment.name, model=run.model, version=version.version)
    if not releases:
        return f"version {version.version} was not released" if run.finished_at and at > run.finished_at else ""
    return _why_release_did_not_help(releases[-1], deployment, at=at)


def _why_release_did_not_help(release: Release, deployment: Deployment, *, at: datetime) -> str:
    if release.state is ReleaseState.LIVE:
        has_had_time = at >= entered_at(release) + timedelta(seconds=deployment.monitor.window_s)
        return f"version {release.version} is live, and no better" if has_had_time else ""
    if release.state.is_final:
        return f"version {release.version} was {release.state.replace('_', ' ')} ({release.history[-1].reason})"
    return ""


def _for_new_rows(context: Context, model: Model, trigger: Trigger, *, at: datetime) -> Run | None:
    """Request a training if enough rows are newer than the last one; the first training is a person's."""
    with context.transaction() as tx:
        if is_suspended(tx, model.name, trigger):
            return None
        runs = tx.find(Run, model=model.name, newest_first=True, limit=1)
    rows = _labelled_rows(context, model, since=runs[0].as_of, until=at) if runs else 0
    if trigger.rows is None or rows < trigger.rows:
        return None
    with context.transaction() as tx:
        if _is_busy(context, tx, model.name):
            return None
        cause = f": {rows} since {runs[0].as_of:%Y-%m-%d %H:%M}"
        return _request(replace(context, tx=tx), tx, model.name, trigger, cause=cause)


def _for_age(context: Context, model: Model, trigger: Trigger, *, at: datetime) -> Run | None:
    """Request a training if the newest one is old, whatever came of it; the first training is a person's."""
    with context.transaction() as tx:
        newest = tx.find(Run, newest_first=True, limit=1, model=model.name)
        is_due = bool(newest) and at >= newest[0].as_of + timedelta(seconds=seconds(trigger.every))
        if not is_due or is_suspended(tx, model.name, trigger) or _is_busy(context, tx, model.name):
            return None
        cause = f": the newest training is of {newest[0].as_of:%Y-%m-%d %H:%M}"
        return _request(replace(context, tx=tx), tx, model.name, trigger, cause=cause)


def _for_better(context: Context, model: Model, trigger: Trigger) -> Run | None:
    """Request a training by what the newest sweep found, if that is newer than the live version and not its own."""
    with context.transaction() as tx:
        live, best = live_version(context, tx, model.name), _newest_best(tx, model)
        run = tx.get(Run, live.run) if live else None
        if run is None or best is None or is_suspended(tx, model.name, trigger):
            return None
        sweep, params = best
        is_newer = sweep.finished_at is not None and sweep.finished_at > run.started_at
        cause = f" by sweep {sweep.id}"
        is_tried = bool(
            tx.find(Run, model=model.name, trigger=f"{trigger.name}{cause}", limit=1)
            or tx.find(Run, model=model.name, parent=sweep.id, limit=1)
        )
        is_own = {**run.params, **params} == dict(run.params)
        if not is_newer or is_tried or is_own or _is_busy(context, tx, model.name):
            return None
        return _request(replace(context, tx=tx), tx, model.name, trigger, cause=cause, params=params)


def _newest_best(tx: Transaction, model: Model) -> tuple[Run, Mapping[str, str]] | None:
    """The newest sweep of a model that has ended, and the parameters of its best trial."""
    sweeps = tx.find(Run, newest_first=True, experiment=model.name, trigger=SWEEP_TRIGGER)
    sweep = next(
        (one for one in sweeps if one.tags.get(SWEEP) == model.name and one.status is RunStatus.SUCCEEDED), None
    )
    if sweep is None:
        return None
    metric = METRICS.get(sweep.params.get("metric", ""))
    trials = [
        trial
        for trial in tx.find(Run, parent=sweep.id)
        if TRIAL in trial.tags and trial.status is RunStatus.SUCCEEDED and metric and metric.name in trial.metrics
    ]
    if metric is None or not trials:
        return None
    choose = max if metric.higher_is_better else min
    best = choose(trials, key=lambda trial: trial.metrics[metric.name])
    return sweep, best.params


def _found_by_sweep(context: Context, tx: Transaction, model: str) -> Mapping[str, str]:
    """The parameters that the live version was trained by, if a sweep found them; none if they are the code's own."""
    live = live_version(context, tx, model)
    run = tx.get(Run, live.run) if live else None
    if run is None or not (run.trigger == SWEEP_TRIGGER or SWEPT in run.tags):
        return {}
    return run.params


def _labelled_rows(context: Context, model: Model, *, since: datetime, until: datetime) -> int:
    """How many labelled rows became known in [since, until)."""
    source = model.label.source
    query = _LABELLED.format(column=quoted(model.label.column), known=quoted(source.available_at))
    tables, parameters = {"events": table_of(source.name)}, {"since": since, "until": until}
    try:
        counted = context.stores.tables.query(query, tables=tables, parameters=parameters)
    except NotFound:
        return 0
    return int(counted.column("n")[0].as_py())


def _is_busy(context: Context, tx: Transaction, model: str) -> bool:
    """Whether a model is being trained, or one of its versions released."""
    if under_way(tx, model):
        return True
    states = (tx.get(DeploymentState, name) for name in deployments_of(context, model))
    return any(state is not None and state.release is not None for state in states)


def _of(model: Model, kind: TriggerKind) -> list[Trigger]:
    return [trigger for trigger in model.retrain if trigger.kind is kind]
