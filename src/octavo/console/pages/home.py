"""Home: what needs someone now, how each deployment does, what changed last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from octavo.console.formatting import plural
from octavo.console.looks import Respect, respects_of
from octavo.console.pages.audit import event_status
from octavo.console.pages.deployments import split, summary_status
from octavo.console.pages.incidents import subject_of
from octavo.console.rendering import render
from octavo.console.status import State, Status, failing, healthy, running, unknown, watch
from octavo.console.traffic import Volume, since, volume
from octavo.console.visits import Page, Reply, Visit
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


def home(visit: Visit) -> Reply:
    """The first page."""
    summaries: tuple[DeploymentSummary, ...] = visit.call("deployments.list")
    incidents = _allowed(visit, "incidents:read", "incidents.list", open=True, limit=_MOST_INCIDENTS)
    runs = _allowed(visit, "models:read", "runs.list", limit=_MOST_RUNS)
    needs = [*_incident_needs(incidents), *_release_needs(summaries), *_run_needs(runs)]
    needs.sort(key=lambda need: _URGENCY.index(need.status.state))
    changes = _allowed(visit, "audit:read", "audit.list", limit=_LAST_CHANGES)
    return render(
        visit,
        "home.html",
        title="Home",
        verdict=_verdict(needs, summaries),
        needs=needs,
        deployments=[_deployment_row(visit, summary) for summary in summaries],
        changes=[(event, event_status(event)) for event in changes],
        has_models=bool(runs),
    )


def _allowed(visit: Visit, permission: str, operation: str, **fields: object) -> Sequence[object]:
    """What an operation answers; nothing to a visitor who may not ask."""
    if not visit.principal.may(permission):
        return ()
    found: Sequence[object] = visit.call(operation, **fields)
    return found


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
        release = summary.release
        if release is None:
            continue
        waits = release.state is ReleaseState.WAITING_FOR_APPROVAL
        how = "waits for approval" if waits else f"is in {release.state.replace('_', ' ')}"
        share = f", at {release.percent} % of the traffic" if release.state is ReleaseState.CANARY else ""
        needs.append(
            Need(
                status=watch("approval") if waits else running("release"),
                text=f"Version {release.version} {how} for {release.deployment}{share}",
                path=f"/deployments/{release.deployment}",
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
        elif run.status is not RunStatus.SUCCEEDED:
            text = f"A training of {run.model} is {run.status}"
            needs.append(Need(status=running("run"), text=text, path=f"/runs/{run.id}", at=run.started_at))
    return needs


def _verdict(needs: Sequence[Need], summaries: Sequence[DeploymentSummary]) -> tuple[Status, str]:
    counted = {word: sum(need.status.word == word for need in needs) for word in ("incident", "approval", "release")}
    failed = sum(need.status == failing("run") for need in needs)
    words = [
        *([f"{plural(counted['incident'], 'incident')} open"] if counted["incident"] else []),
        *([f"{plural(counted['approval'], 'release')} waiting for approval"] if counted["approval"] else []),
        *([f"{plural(failed, 'failed run')}"] if failed else []),
    ]
    if words:
        state = failing if counted["incident"] or failed else watch
        text = _listed(words)
        return state("needs you"), f"{text[:1].upper()}{text[1:]}."
    if counted["release"]:
        return running("in progress"), f"{plural(counted['release'], 'release')} in progress; nothing needs you."
    live = [summary for summary in summaries if summary.state.live is not None]
    if not live:
        return unknown("nothing live"), "No model answers yet."
    return healthy("all is well"), f"Nothing needs you: {plural(len(live), 'deployment')} answering as expected."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _deployment_row(visit: Visit, summary: DeploymentSummary) -> DeploymentRow:
    name = summary.state.deployment
    monitoring = traffic = None
    if visit.principal.may("monitoring:read"):
        monitoring = visit.call("monitoring.show", deployment=name, limit=1)
        traffic = visit.call("monitoring.traffic", deployment=name, since=visit.now - _DAY)
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


PAGES = (Page(path="/", permission="deployments:read", show=home),)
