"""What people and programs can do with outcomes, predictions, looks and incidents."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from octavo.clock import EPOCH
from octavo.definitions.deployments import Deployment
from octavo.errors import InvalidRequest, OctavoError
from octavo.monitoring.compare import Comparison, compare
from octavo.monitoring.experiments import ExperimentReport, experiment_of, report_of
from octavo.monitoring.explanations import Explanation, explain_prediction
from octavo.monitoring.incidents import Incident, incident_of, open_incidents, resolve
from octavo.monitoring.looks import Look, look, newest_looks
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes
from octavo.monitoring.performance import declared_metric
from octavo.monitoring.predictions import PredictionDetails, PredictionSummary, list_predictions, show_prediction
from octavo.monitoring.references import reference_of, version_of
from octavo.monitoring.traffic import Traffic, measure_traffic
from octavo.operations import Context, Operations
from octavo.release.releases import DeploymentState
from octavo.training.reports import Interval

MOST = 1_000
"""Of what is listed, at once."""

MOST_TRAFFIC, USUAL_TRAFFIC = timedelta(days=92), timedelta(days=7)

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOutcomes:
    """Outcomes, accepted all or none."""

    rows: tuple[OutcomeRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedOutcomes:
    """How many outcomes were accepted; one sent twice is accepted twice and counts once."""

    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPredictions:
    """A deployment's answered predictions, the newest first.

    Attributes
    ----------
    entity : str or None
        Only those about this one: an entity's column and key, as in ``origin=JFK``.
    before : str or None
        Only those older than the prediction with this id: the last one of the page before.
    """

    deployment: str
    limit: int = 50
    entity: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPrediction:
    """Ask for a prediction by its id."""

    prediction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainPrediction:
    """Ask for the reasons of a prediction."""

    prediction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookNow:
    """Ask for a look at a deployment as it is now."""

    deployment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowMonitoring:
    """Ask for the newest looks at a deployment."""

    deployment: str
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From which size on something is an incident; see `octavo.definitions.deployments.Monitor`."""

    drift: float
    degradation: float
    missing: float
    min_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringDetails:
    """How a deployment is doing.

    Attributes
    ----------
    looks : tuple of Look
        The newest last.
    version : int or None
        The live version, with which newer looks compare.
    metric : str or None
        By which performance is judged.
    held_out : Interval or None
        The metric of the live version on its held-out rows.
    incidents : tuple of Incident
        Those that are open.
    """

    deployment: str
    model: str
    version: int | None
    metric: str | None
    held_out: Interval | None
    thresholds: Thresholds
    every_s: int
    window_s: int
    looks: tuple[Look, ...]
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTraffic:
    """Ask for a deployment's traffic by the hour: of the last seven days unless `since` is given."""

    deployment: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareVersions:
    """Ask what a version would have answered to the requests of [since, until).

    Attributes
    ----------
    since, until : datetime or None
        All that is recorded, and now, unless given.
    """

    deployment: str
    version: int
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowExperiment:
    """Ask how the arms of an experiment did: the deployment's newest unless one is named by its id."""

    deployment: str
    experiment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListIncidents:
    """Incidents, the newest first.

    Attributes
    ----------
    open : bool or None
        Only those that are open, or only those that are not.
    """

    deployment: str | None = None
    open: bool | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowIncident:
    """Ask for an incident by its id."""

    incident: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveIncident:
    """End an incident by hand.

    Attributes
    ----------
    cause : str
        What it was; takes the place of the cause that was noted, unless empty.
    """

    incident: str
    cause: str = ""


# Outcomes are their own durable record, so each is not audited too; and nothing here needs a metadata transaction.
@operations.operation("outcomes.record", request=RecordOutcomes, permission="outcomes:write", long=True)
def record(request: RecordOutcomes, context: Context) -> AcceptedOutcomes:
    """Accept the outcomes of predictions, all or none."""
    rows = record_outcomes(request.rows, stream=context.stores.stream, clock=context.clock)
    return AcceptedOutcomes(rows=rows)


@operations.operation("predictions.list", request=ListPredictions, permission="predictions:read", long=True)
def list_recorded(request: ListPredictions, context: Context) -> tuple[PredictionSummary, ...]:
    """List the predictions that a deployment or a composite answered, newest first."""
    _check_limit(request.limit)
    return list_predictions(
        context.stores,
        context.project,
        _answering(context, request.deployment),
        limit=request.limit,
        entity=request.entity,
        before=request.before,
    )


def _answering(context: Context, name: str) -> str:
    """What predictions are recorded under: a deployment, a composite, or a model with an alias or a version."""
    if name in context.project.composites:
        return name
    model, called, _ = name.partition("@")
    return (
        f"{context.project.model(model).name}{name[len(model) :]}" if called else context.project.deployment(name).name
    )


@operations.operation("predictions.show", request=ShowPrediction, permission="predictions:read", long=True)
def show_recorded(request: ShowPrediction, context: Context) -> PredictionDetails:
    """Show a prediction: its inputs, its answer and what came of it."""
    return show_prediction(context.stores, context.project, request.prediction)


@operations.operation("predictions.explain", request=ExplainPrediction, permission="predictions:read", long=True)
def explain_recorded(request: ExplainPrediction, context: Context) -> Explanation:
    """Say what each input contributed to a prediction."""
    return explain_prediction(context.stores, request.prediction)


@operations.operation("monitoring.look", request=LookNow, permission="monitoring:write", changes=True, long=True)
def look_now(request: LookNow, context: Context) -> Look:
    """Look at a deployment as it is now, opening and resolving its incidents."""
    return look(context, context.project.deployment(request.deployment), at=context.clock.now())


@operations.operation("monitoring.show", request=ShowMonitoring, permission="monitoring:read", long=True)
def show_monitoring(request: ShowMonitoring, context: Context) -> MonitoringDetails:
    """Show how a deployment is doing: its newest looks, and what they compare with."""
    _check_limit(request.limit)
    deployment = context.project.deployment(request.deployment)
    with context.transaction() as tx:
        state = tx.get(DeploymentState, deployment.name)
        looks = newest_looks(tx, deployment.name, limit=request.limit)
        incidents = open_incidents(tx, deployment.name)
    metric, held_out = _held_out(context, deployment, state)
    monitor = deployment.monitor
    return MonitoringDetails(
        deployment=deployment.name,
        model=state.model if state else deployment.model.name,
        version=state.live if state else None,
        metric=metric,
        held_out=held_out,
        thresholds=Thresholds(
            drift=monitor.drift,
            degradation=monitor.degradation,
            missing=monitor.missing,
            min_rows=monitor.min_rows,
        ),
        every_s=monitor.every_s,
        window_s=monitor.window_s,
        looks=tuple(looks),
        incidents=tuple(incidents),
    )


@operations.operation("monitoring.traffic", request=ShowTraffic, permission="monitoring:read", long=True)
def show_traffic(request: ShowTraffic, context: Context) -> Traffic:
    """Show a deployment's traffic by the hour and version."""
    deployment = context.project.deployment(request.deployment).name
    now = context.clock.now()
    since = now - USUAL_TRAFFIC if request.since is None else request.since
    if since < now - MOST_TRAFFIC:
        raise InvalidRequest(
            "the traffic of so long a time is too much to show by the hour",
            field="since",
            fix=f"send a moment of the last {MOST_TRAFFIC.days} days",
        )
    return measure_traffic(context.stores.tables, deployment, since=since, until=now)


@operations.operation("monitoring.compare", request=CompareVersions, permission="monitoring:read", long=True)
def compare_versions(request: CompareVersions, context: Context) -> Comparison:
    """Replay recorded requests through a version, and judge it by the outcomes that came."""
    return compare(
        context,
        context.project.deployment(request.deployment),
        version=request.version,
        since=request.since or EPOCH,
        until=request.until or context.clock.now(),
    )


@operations.operation("experiments.show", request=ShowExperiment, permission="monitoring:read", long=True)
def show_experiment(request: ShowExperiment, context: Context) -> ExperimentReport:
    """Compare the arms of an experiment by what came of their answers."""
    deployment = context.project.deployment(request.deployment)
    experiment = experiment_of(context, deployment.name, request.experiment)
    return report_of(context, experiment, model=deployment.model)


@operations.operation("incidents.list", request=ListIncidents, permission="incidents:read")
def list_incidents(request: ListIncidents, context: Context) -> tuple[Incident, ...]:
    """List incidents, newest first."""
    _check_limit(request.limit)
    equal = {} if request.deployment is None else {"deployment": request.deployment}
    tx, limit = context.transacted, request.limit
    if request.open is None:
        return tuple(tx.find(Incident, newest_first=True, limit=limit, **equal))
    if request.open:
        return tuple(tx.find(Incident, newest_first=True, limit=limit, resolved_at=None, **equal))
    found = tx.find(Incident, newest_first=True, limit=None, **equal)
    return tuple(incident for incident in found if not incident.is_open)[:limit]


@operations.operation("incidents.show", request=ShowIncident, permission="incidents:read")
def show_incident(request: ShowIncident, context: Context) -> Incident:
    """Show an incident with its cause and its timeline."""
    return incident_of(context.transacted, request.incident)


@operations.operation("incidents.resolve", request=ResolveIncident, permission="incidents:write", changes=True)
def resolve_incident(request: ResolveIncident, context: Context) -> Incident:
    """End an incident by hand; it opens again at the next look if nothing has changed."""
    text = f"resolved by {context.principal.name}" + (f": {request.cause}" if request.cause else "")
    return resolve(context.transacted, request.incident, at=context.clock.now(), text=text, cause=request.cause.strip())


def _held_out(
    context: Context, deployment: Deployment, state: DeploymentState | None
) -> tuple[str | None, Interval | None]:
    """The metric by which the live version is judged, and what it was on the held-out rows; None if that is gone."""
    if state is None or state.live is None:
        return next(iter(deployment.model.metrics), None), None
    try:
        report = reference_of(context, version_of(context, state.model, state.live)).report
    except OctavoError:
        return None, None
    metric = declared_metric(context.project.models.get(state.model, deployment.model), report)
    return metric, report.metrics[metric] if metric else None


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise InvalidRequest(
            f"limit {limit} is out of range", field="limit", fix=f"send a whole number from 1 to {MOST}"
        )
