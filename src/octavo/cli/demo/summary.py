"""What a demo came to: the numbers for programs, and the same for people."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from octavo.cli.demo.journal import Journal
from octavo.cli.demo.plan import Plan
from octavo.client import Client
from octavo.errors import NotFound

ERRORS_OF = "eta"
"""The deployment whose error stands for the demo: minutes by which its predictions were wrong."""

_SHIPPED_S, _POLL_S = 60.0, 0.25
_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A model version and how far it came.

    Attributes
    ----------
    stage : str
        Of its last release; ``registered`` without one, ``gate failed`` where it may not have one.
    """

    model: str
    version: int
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSummary:
    """An incident, from its opening to its end."""

    deployment: str
    kind: str
    opened_at: datetime
    resolved_at: datetime | None
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How wrong the answers were that were given, and those that version 1 would have given to the same requests.

    Attributes
    ----------
    retrained : bool
        Whether a retrained version went live.
    since : datetime
        When it did; the beginning of the replay where none did.
    rows : int
        Predictions whose outcome is known.
    live, never_retrained, difference : float or None
        None where there are no such rows.
    low, high : float or None
        95 % interval of the difference.
    """

    deployment: str
    metric: str
    retrained: bool
    since: datetime
    rows: int
    live: float | None
    never_retrained: float | None
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The demo in one object.

    Attributes
    ----------
    seconds : float
        Of this run.
    events : int
        Of the history and of the replay.
    requests, failed_requests : int
        For predictions, each for all flights of a moment; requests of any kind that were refused or not answered.
    p50_ms, p99_ms : float
        Of the requests for predictions, as the client saw them.
    outcomes : int
        One for each prediction of a flight that landed.
    retrained : bool
        Whether a retrained version went live.
    error_live, error_never_retrained : float or None
        Mean absolute error in minutes from when the retrained version went live.
    console : str
        Its address.
    """

    seconds: float
    events: int
    requests: int
    failed_requests: int
    p50_ms: float
    p99_ms: float
    outcomes: int
    versions: tuple[VersionSummary, ...]
    incidents: tuple[IncidentSummary, ...]
    retrained: bool
    error_live: float | None
    error_never_retrained: float | None
    console: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that is told at the end of a demo."""

    summary: Summary
    errors: tuple[Errors, ...]


def sum_up(client: Client, journal: Journal, plan: Plan, *, history: int, console: str) -> Outcome:
    """Ask the running project what came of the demo.

    Parameters
    ----------
    history : int
        Events of the history.
    """
    _wait_until_carried(client, journal)
    states = client.call("deployments.list")
    details = [client.call("deployments.show", deployment=state["state"]["deployment"]) for state in states]
    errors = tuple(_errors(client, detail, plan) for detail in details)
    shown = next(error for error in errors if error.deployment == ERRORS_OF)
    releases = [release for detail in details for release in detail["releases"]]
    summary = Summary(
        seconds=0.0,
        events=history + journal.events,
        requests=journal.requests,
        failed_requests=journal.failed,
        p50_ms=round(journal.percentile_ms(50), 3),
        p99_ms=round(journal.percentile_ms(99), 3),
        outcomes=journal.outcomes,
        versions=tuple(_versions(client, releases)),
        incidents=tuple(_incident(incident) for incident in reversed(client.call("incidents.list", limit=_LIMIT))),
        retrained=any(_live_at(release) for release in releases if release["version"] > 1),
        error_live=shown.live,
        error_never_retrained=shown.never_retrained,
        console=console,
    )
    return Outcome(summary=summary, errors=errors)


def _wait_until_carried(client: Client, journal: Journal) -> None:
    """Wait until the last predictions and outcomes are in their tables, and with them all before."""
    waiting = [(prediction, False) for prediction in journal.newest_predictions]
    waiting += [(prediction, True) for prediction in journal.newest_outcomes]
    deadline_s = time.monotonic() + _SHIPPED_S
    while waiting and time.monotonic() < deadline_s:
        waiting = [(prediction, known) for prediction, known in waiting if not _is_there(client, prediction, known)]
        if waiting:
            time.sleep(_POLL_S)


def _is_there(client: Client, prediction: str, known: bool) -> bool:
    try:
        found = client.call("predictions.show", prediction=prediction)
    except NotFound:
        return False
    return bool(found["outcomes"]) or not known


def _errors(client: Client, detail: dict[str, Any], plan: Plan) -> Errors:
    """Live against never retrained, over the requests since a retrained version went live."""
    deployment = detail["summary"]["state"]["deployment"]
    retrained = [moment for r in detail["releases"] if r["version"] > 1 and (moment := _live_at(r))]
    since = min(retrained, default=plan.start)
    found = client.call("monitoring.compare", deployment=deployment, version=1, since=since, until=plan.end)
    difference = found["difference"] or {}
    return Errors(
        deployment=deployment,
        metric=found["metric"],
        retrained=bool(retrained),
        since=since,
        rows=found["rows"],
        live=_value(found["error_live"]),
        never_retrained=_value(found["error_other"]),
        difference=difference.get("value"),
        low=difference.get("low"),
        high=difference.get("high"),
    )


def _value(interval: dict[str, float] | None) -> float | None:
    return interval["value"] if interval else None


def _live_at(release: dict[str, Any]) -> datetime | None:
    """When a release's version began to answer everything; None if it never did."""
    return next((datetime.fromisoformat(step["at"]) for step in release["history"] if step["state"] == "live"), None)


def _versions(client: Client, releases: Sequence[dict[str, Any]]) -> Iterator[VersionSummary]:
    for model in client.call("models.list"):
        for version in reversed(client.call("models.show", model=model["model"])["versions"]):
            number = version["version"]
            own = [r["state"] for r in releases if (r["model"], r["version"]) == (model["model"], number)]
            passed = all(gate["passed"] for gate in version["gates"])
            stage = own[0] if own else "registered" if passed else "gate failed"
            yield VersionSummary(model=model["model"], version=number, stage=stage.replace("_", " "))


def _incident(incident: dict[str, Any]) -> IncidentSummary:
    resolved = incident["resolved_at"]
    return IncidentSummary(
        deployment=incident["deployment"],
        kind=incident["incident_kind"],
        opened_at=datetime.fromisoformat(incident["opened_at"]),
        resolved_at=datetime.fromisoformat(resolved) if resolved else None,
        cause=incident["cause"],
    )
