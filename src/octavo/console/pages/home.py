"""Home: what needs someone now, how each deployment does, what changed last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from octavo.console.formatting import listed, plural
from octavo.console.looks import Respect, respects_of
from octavo.console.pages.audit import event_status
from octavo.console.pages.deployments import split, summary_status
from octavo.console.pages.incidents import subject_of
from octavo.console.rendering import render
from octavo.console.status import State, Status, failing, healthy, running, unknown, watch
from octavo.console.traffic import Volume, since, volume
from octavo.console.visits import VISIT, Page, Reply, Visit
from octavo.monitoring.incidents import Incident
from octavo.monitoring.looks import Look
from octavo.monitoring.operations import MonitoringDetails
from octavo.release.operations import DeploymentSummary
from octavo.release.releases import ReleaseState
from octavo.release.rollout import entered_at
from octavo.training.runs import Run, RunStatus

_MOST_INCIDENTS, _MOST_RUNS, _LAST_CHANGES = 20, 50, 8
_DAY = timedelta(days=1)
_URGENCY = (State.FAILING, State.WATCH, State.RUNNING, State.UNKNOWN, State.HEALTHY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that someone should see.

    Attributes
    ----------
    path : str
        Where to see it.
    """

    status: Status
    text: str
    path: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """How one deployment does."""

    summary: DeploymentSummary
    release: Status
    split: str
    day: Volume
    monitoring: MonitoringDetails | None
    look: Look | None
    respects: list[Respect]

    @property
    def is_judged(self) -> bool:
        """Whether anything is known of how well it does."""
        return any(respect.status.state is State.HEALTHY for respect in self.respects)


def home(visit: Visit) -> Reply:
    """The first page."""
    sees_deployments = visit.principal.may("deployments:read")
    summaries: tuple[DeploymentSummary, ...] = visit.call_if_allowed("deployments:read", "deployments.list") or ()
    incidents = visit.call_if_allowed("incidents:read", "incidents.list", open=True, limit=_MOST_INCIDENTS) or ()
    runs = visit.call_if_allowed("models:read", "runs.list", limit=_MOST_RUNS, where="model != ''") or ()
    needs = [*_incident_needs(incidents), *_release_needs(summaries), *_run_needs(runs)]
    needs.sort(key=lambda need: _URGENCY.index(need.status.state))
    rows = [_deployment_row(visit, summary) for summary in summaries]
    changes = visit.call_if_allowed("audit:read", "audit.list", limit=_LAST_CHANGES) or ()
    return render(
        visit,
        "home.html",
        title="Home",
        verdict=_verdict(needs, rows, sees_deployments=sees_deployments),
        needs=needs,
        deployments=rows,
        changes=[(event, event_status(event)) for event in changes],
        has_models=bool(runs),
        sees_deployments=sees_deployments,
    )


def _incident_needs(incidents: Sequence[Incident]) -> list[Need]:
    return [
        Need(
            status=failing("incident"),
            text=f"{i.incident_kind.capitalize()} of {i.deployment}: {subject_of(i)}",
            path=f"/incidents/{i.id}",
            at=i.opened_at,
        )
        for i in incidents
    ]


def _release_needs(summaries: Sequence[DeploymentSummary]) -> list[Need]:
    needs = []
    for summary in summaries:
        release, stopped = summary.release, summary.state.stopped
        if stopped is not None:
            needs.append(
                Need(
                    status=failing("stopped"),
                    text=f"No model is asked for {summary.state.deployment}: {stopped.reason}",
                    path=f"/deployments/{summary.state.deployment}",
                    at=stopped.at,
                )
            )
        if release is None:
            continue
        waits = release.state is ReleaseState.WAITING_FOR_APPROVAL
        within = "in " if release.state in (ReleaseState.SHADOW, ReleaseState.CANARY) else ""
        how = "waits for approval" if waits else f"is {within}{release.state}"
        share = f", at {release.percent} % of the traffic" if release.state is ReleaseState.CANARY else ""
        share += ", held" if release.held else ""
        needs.append(
            Need(
                status=watch("approval") if waits else watch("held") if release.held else running("release"),
                text=f"Version {release.version} {how} for {release.deployment}{share}",
                path="/approvals" if waits else f"/deployments/{release.deployment}",
                at=entered_at(release),
            )
        )
    return needs


def _run_needs(runs: Sequence[Run]) -> list[Need]:
    """The newest run of a model, if it failed or is under way."""
    newest = {run.model: run for run in reversed(runs)}
    needs = []
    for run in newest.values():
        if run.status is RunStatus.FAILED:
            text = f"The newest run of {run.model} failed"
            needs.append(Need(status=failing("run"), text=text, path=f"/runs/{run.id}", at=run.started_at))
        elif not run.status.ended:
            text = f"A training of {run.model} is {run.status}"
            needs.append(Need(status=running("run"), text=text, path=f"/runs/{run.id}", at=run.started_at))
    return needs


def _verdict(needs: Sequence[Need], rows: Sequence[DeploymentRow], *, sees_deployments: bool) -> tuple[Status, str]:
    counted = {word: sum(need.status.word == word for need in needs) for word in ("incident", "approval", "release")}
    failed = sum(need.status == failing("run") for need in needs)
    words = [
        *([f"{plural(counted['incident'], 'incident')} open"] if counted["incident"] else []),
        *([f"{plural(counted['approval'], 'release')} waiting for approval"] if counted["approval"] else []),
        *([f"{plural(failed, 'failed run')}"] if failed else []),
    ]
    if words:
        state = failing if counted["incident"] or failed else watch
        text = listed(words)
        under_way = f"; {plural(counted['release'], 'release')} in progress" if counted["release"] else ""
        return state("needs you"), f"{text}{under_way}."
    if counted["release"]:
        return running("in progress"), f"{plural(counted['release'], 'release')} in progress; nothing needs you."
    if not sees_deployments:
        return unknown("not shown"), "Nothing that you may see needs anyone."
    live = [row for row in rows if row.summary.state.live is not None]
    if not live:
        return unknown("nothing live"), "No model answers yet."
    unjudged = [row.summary.state.deployment for row in live if not row.is_judged]
    if unjudged:
        text = f"Nothing needs you; how well {listed(unjudged)} answers cannot be told yet."
        return unknown("not judged yet"), text
    return healthy("all is well"), f"Nothing needs you: {plural(len(live), 'deployment')} answering as expected."


def _deployment_row(visit: Visit, summary: DeploymentSummary) -> DeploymentRow:
    name = summary.state.deployment
    monitoring = visit.call_if_allowed("monitoring:read", "monitoring.show", deployment=name, limit=1)
    traffic = visit.call_if_allowed("monitoring:read", "monitoring.traffic", deployment=name, since=visit.now - _DAY)
    look = monitoring.looks[-1] if monitoring and monitoring.looks else None
    return DeploymentRow(
        summary=summary,
        release=summary_status(summary),
        split=split(summary.arms, width=96),
        day=volume(since(traffic, visit.now - _DAY)) if traffic else Volume(),
        monitoring=monitoring,
        look=look,
        respects=respects_of(look),
    )


PAGES = (Page(path="/", permission=VISIT, show=home),)
