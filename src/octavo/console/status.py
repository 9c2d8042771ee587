"""The five states in which anything can be: each has a shape, a word and a colour, never a colour alone.

What is not known is never shown as healthy.
"""

from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup

from octavo.console.charts.svg import element
from octavo.monitoring.incidents import Incident
from octavo.release.releases import ReleaseState
from octavo.training.runs import RunStatus


class State(StrEnum):
    HEALTHY = "healthy"
    WATCH = "watch"
    FAILING = "failing"
    RUNNING = "running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A state and the word for it here."""

    state: State
    word: str


def healthy(word: str) -> Status:
    return Status(state=State.HEALTHY, word=word)


def watch(word: str) -> Status:
    return Status(state=State.WATCH, word=word)


def failing(word: str) -> Status:
    return Status(state=State.FAILING, word=word)


def running(word: str) -> Status:
    return Status(state=State.RUNNING, word=word)


def unknown(word: str) -> Status:
    return Status(state=State.UNKNOWN, word=word)


def release_status(state: ReleaseState) -> Status:
    """How a release stands."""
    word = state.replace("_", " ")
    match state:
        case ReleaseState.LIVE:
            return healthy(word)
        case ReleaseState.WAITING_FOR_APPROVAL:
            return watch(word)
        case ReleaseState.REJECTED | ReleaseState.ROLLED_BACK:
            return failing(word)
        case ReleaseState.RETIRED:
            return unknown(word)
        case _:
            return running(word)


def run_status(status: RunStatus) -> Status:
    """How a run stands."""
    match status:
        case RunStatus.SUCCEEDED:
            return healthy(status)
        case RunStatus.FAILED:
            return failing(status)
        case RunStatus.KILLED | RunStatus.LOST:
            return watch(status)
        case _:
            return running(status)


def incident_status(incident: Incident) -> Status:
    """How an incident stands."""
    return failing("open") if incident.is_open else healthy("resolved")


def badge(status: Status) -> Markup:
    """A status as it stands on a page."""
    shape = element(
        "svg", _SHAPES[status.state], class_="shape", viewBox="0 0 16 16", width=14, height=14, aria_hidden="true"
    )
    return element("span", shape, status.word, class_=f"status {status.state}")


_SHAPES = {
    State.HEALTHY: element("path", d="M2.5 8.5 6.2 12.2 13.5 4.4", class_="stroke"),
    State.WATCH: element("path", d="M8 2.2 14.4 13.4H1.6Z", class_="stroke"),
    State.FAILING: element("path", d="M5.2 1.2h5.6l4 4v5.6l-4 4H5.2l-4-4V5.2Z", class_="fill"),
    State.RUNNING: element(
        "g",
        element("circle", cx=8, cy=8, r=6, class_="stroke"),
        element("path", d="M8 2a6 6 0 0 1 0 12Z", class_="fill"),
    ),
    State.UNKNOWN: element("circle", cx=8, cy=8, r=6, class_="stroke dashed"),
}
