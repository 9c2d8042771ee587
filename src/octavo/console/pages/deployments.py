"""Deployments: who gets which traffic, and the release in progress with what can be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from octavo.console.charts.bars import split_bar
from octavo.console.formatting import duration
from octavo.console.releases import Step, history_of, next_step_at, steps_of
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, release_status, running, unknown, watch
from octavo.console.traffic import (
    Volume,
    answered,
    latency_chart,
    live_markers,
    requests_chart,
    since,
    version_styles,
    volume,
)
from octavo.console.visits import Page, Reply, Visit, is_number
from octavo.errors import NotFound, OctavoError
from octavo.monitoring.experiments import ExperimentReport
from octavo.monitoring.traffic import Traffic
from octavo.registry.operations import ModelDetails
from octavo.release.operations import ArmView, DeploymentDetails, DeploymentSummary
from octavo.release.releases import ReleaseState
from octavo.release.shares import SHADOW

ARM_STYLES = {
    "live": "one",
    "canary": "two",
    "shadow": "three",
    "experiment": "two",
    "holdout": "three",
    "explore": "four",
}
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """A version's part of the traffic, and what it did in the last day."""

    arm: ArmView
    style: str
    day: Volume


def deployments(visit: Visit) -> Reply:
    """All deployments."""
    found: tuple[DeploymentSummary, ...] = visit.call("deployments.list")
    rows = [(summary, summary_status(summary), split(summary.arms)) for summary in found]
    return render(visit, "deployments.html", title="Deployments", rows=rows)


def deployment(visit: Visit, *, problem: str = "", status: int = 200) -> Reply:
    """One deployment."""
    name = visit.parameters["deployment"]
    details: DeploymentDetails = visit.call("deployments.show", deployment=name)
    traffic = _traffic(visit, name)
    state, release = details.summary.state, details.summary.release
    styles = version_styles({hour.version for hour in answered(traffic)}, live=state.live)
    markers = live_markers(details.releases)
    return render(
        visit,
        "deployment.html",
        title=name,
        status=status,
        problem=problem,
        details=details,
        state=state,
        release=release,
        verdict=_verdict(details, visit.now),
        split=split(details.summary.arms, width=480),
        arms=[_arm_row(arm, traffic, visit.now) for arm in details.summary.arms],
        day=volume(since(traffic, visit.now - _DAY)),
        steps=_steps(details),
        requests=requests_chart(traffic, styles),
        latency=latency_chart(traffic, styles, markers),
        history=history_of(details.releases),
        versions=_releasable(visit, details),
        experiment=_experiment(visit, details),
        retraining=visit.call_if_allowed("models:read", "retraining.list", model=state.model) or (),
        can_retrain=visit.principal.may("models:write", about={"model": state.model}),
        can_release=visit.principal.may("releases:write"),
    )


def release(visit: Visit) -> Reply:
    """A form was sent to release a version."""
    name, version = visit.parameters["deployment"], visit.form.get("version", "")
    if version and not is_number(version):
        raise NotFound("version", version)
    chosen = int(version) if version else None
    return _act(visit, name, "releases.start", {"deployment": name, "version": chosen})


def roll_back(visit: Visit) -> Reply:
    """A form was sent to end the release in progress, or to return to the version before."""
    name = visit.parameters["deployment"]
    return _act(visit, name, "releases.rollback", {"deployment": name, "reason": visit.form.get("reason", "").strip()})


def hold(visit: Visit) -> Reply:
    """A form was sent to hold the release in progress."""
    return _with_reason(visit, "releases.hold")


def resume(visit: Visit) -> Reply:
    """A form was sent to resume the release that is held."""
    return _with_reason(visit, "releases.resume")


def advance(visit: Visit) -> Reply:
    """A form was sent to have the release in progress take its next step."""
    return _with_reason(visit, "releases.advance")


def stop(visit: Visit) -> Reply:
    """A form was sent to stop the deployment."""
    return _with_reason(visit, "deployments.stop")


def start(visit: Visit) -> Reply:
    """A form was sent to start the deployment again."""
    return _with_reason(visit, "deployments.start")


def resume_retraining(visit: Visit) -> Reply:
    """A form was sent to resume a trigger of the deployment's model."""
    name, form = visit.parameters["deployment"], visit.form
    fields = {"model": form.get("model", ""), "trigger": form.get("trigger", "")}
    return _act(visit, name, "retraining.resume", fields)


def start_experiment(visit: Visit) -> Reply:
    """A form was sent to start an experiment."""
    name = visit.parameters["deployment"]
    return _act(visit, name, "experiments.start", {"deployment": name, "name": visit.form.get("experiment", "")})


def stop_experiment(visit: Visit) -> Reply:
    """A form was sent to stop the experiment that runs."""
    name = visit.parameters["deployment"]
    return _act(visit, name, "experiments.stop", {"deployment": name, "reason": visit.form.get("reason", "").strip()})


def promote(visit: Visit) -> Reply:
    """A form was sent to make the version of an experiment's arm the live one."""
    name, form = visit.parameters["deployment"], visit.form
    reason = form.get("reason", "").strip()
    return _act(visit, name, "experiments.promote", {"deployment": name, "arm": form.get("arm", ""), "reason": reason})


def summary_status(summary: DeploymentSummary) -> Status:
    """How a deployment stands."""
    if summary.state.stopped is not None:
        return failing("stopped")
    if summary.release is not None and summary.release.held:
        return watch("held")
    if summary.release is not None:
        return release_status(summary.release.state)
    return healthy("live") if summary.state.live is not None else unknown("nothing released")


def split(arms: tuple[ArmView, ...], *, width: int = 160) -> str:
    """The division of the traffic, drawn."""
    parts = [(_name(arm), arm.percent, ARM_STYLES[arm.role]) for arm in arms if arm.role != SHADOW]
    return split_bar(parts, width=width)


def _name(arm: ArmView) -> str:
    return f"version {arm.version}" + (f" ({arm.group})" if arm.group else "")


def _experiment(visit: Visit, details: DeploymentDetails) -> ExperimentReport | None:
    """How the newest experiment does, if one was started."""
    name = details.summary.state.deployment
    if not visit.call_if_allowed("releases:read", "experiments.list", deployment=name, limit=1):
        return None
    report: ExperimentReport | None = visit.call_if_allowed("monitoring:read", "experiments.show", deployment=name)
    return report


def _with_reason(visit: Visit, operation: str) -> Reply:
    name = visit.parameters["deployment"]
    return _act(visit, name, operation, {"deployment": name, "reason": visit.form.get("reason", "").strip()})


def _act(visit: Visit, name: str, operation: str, fields: Mapping[str, object]) -> Reply:
    try:
        visit.call(operation, **fields)
    except OctavoError as error:
        return deployment(visit, problem=error.message, status=409)
    return Reply(location=f"/deployments/{quote(name)}")


def _verdict(details: DeploymentDetails, now: datetime) -> tuple[Status, str]:
    state, release = details.summary.state, details.summary.release
    if state.stopped is not None:
        since = f"{state.stopped.at:%Y-%m-%d %H:%M}"
        text = f"No model is asked since {since}, by {state.stopped.by}: {state.stopped.reason}."
        return failing("stopped"), text
    if release is None:
        if state.live is None:
            return unknown("nothing released"), f"Nothing answers under {state.deployment!r} yet."
        experiment = details.summary.experiment
        if experiment is not None:
            return running("experiment"), f"The experiment {experiment.name!r} divides the units; see how its arms do."
        return healthy("live"), f"Version {state.live} answers every request."
    beside = f" beside version {state.live}" if state.live is not None else ""
    match release.state:
        case ReleaseState.WAITING_FOR_APPROVAL:
            return watch("waiting"), f"Version {release.version} passed its gates and waits for someone's approval."
        case ReleaseState.SHADOW:
            text = f"Version {release.version} answers every request{beside}, and nobody sees what it says."
        case ReleaseState.CANARY:
            text = f"Version {release.version} answers {release.percent} % of the requests{beside}."
        case _:
            text = f"Version {release.version} is on its way: {release.state.replace('_', ' ')}."
    if release.held:
        return watch("held"), f"{text} It is held there until somebody resumes it."
    if details.bake_s is None and release.state is ReleaseState.CANARY:
        text += " It stays there until somebody has it go on."
    until = next_step_at(details)
    due = f" Its next step is due in {duration((until - now).total_seconds())}." if until and until > now else ""
    return running(release.state), text + due


def _traffic(visit: Visit, name: str) -> Traffic:
    seen: Traffic | None = visit.call_if_allowed("monitoring:read", "monitoring.traffic", deployment=name)
    return seen or Traffic(deployment=name, since=visit.now, until=visit.now, hours=())


def _arm_row(arm: ArmView, traffic: Traffic, now: datetime) -> ArmRow:
    hours = [
        hour
        for hour in traffic.hours
        if (hour.version, hour.arm) == (arm.version, arm.role) and hour.hour >= now - _DAY
    ]
    return ArmRow(arm=arm, style=ARM_STYLES[arm.role], day=volume(hours))


def _steps(details: DeploymentDetails) -> list[Step]:
    release = details.summary.release
    return [] if release is None else steps_of(release, details)


def _releasable(visit: Visit, details: DeploymentDetails) -> list[int]:
    """Versions that may be released now, the newest first."""
    state = details.summary.state
    model: ModelDetails | None = visit.call_if_allowed("models:read", "models.show", model=state.model)
    if model is None or details.summary.release is not None:
        return []
    return [version.version for version in model.versions if version.passed and version.version != state.live]


PAGES = (
    Page(path="/deployments", permission="deployments:read", show=deployments),
    Page(path="/deployments/{deployment}", permission="deployments:read", show=deployment),
    Page(path="/deployments/{deployment}/release", permission="releases:write", show=release, method="POST"),
    Page(
        path="/deployments/{deployment}/experiments/start",
        permission="releases:write",
        show=start_experiment,
        method="POST",
    ),
    Page(
        path="/deployments/{deployment}/experiments/stop",
        permission="releases:write",
        show=stop_experiment,
        method="POST",
    ),
    Page(
        path="/deployments/{deployment}/experiments/promote",
        permission="releases:write",
        show=promote,
        method="POST",
    ),
    Page(path="/deployments/{deployment}/rollback", permission="releases:write", show=roll_back, method="POST"),
    Page(path="/deployments/{deployment}/hold", permission="releases:write", show=hold, method="POST"),
    Page(path="/deployments/{deployment}/resume", permission="releases:write", show=resume, method="POST"),
    Page(path="/deployments/{deployment}/advance", permission="releases:write", show=advance, method="POST"),
    Page(path="/deployments/{deployment}/stop", permission="releases:write", show=stop, method="POST"),
    Page(path="/deployments/{deployment}/start", permission="releases:write", show=start, method="POST"),
    Page(path="/deployments/{deployment}/retraining", permission="models:write", show=resume_retraining, method="POST"),
)
