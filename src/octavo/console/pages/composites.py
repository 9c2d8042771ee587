"""Composites: what answers together, in which order, and what each node said lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import quote

from octavo.console.pages.deployments import split
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, unknown
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.monitoring.predictions import PredictionSummary
from octavo.release.composite_operations import CompositeDetails, NodeView
from octavo.release.composites import CompositeState

_CALLS = 20
"""The newest calls that are shown, and by which nodes are described."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node, and what it said in the newest calls.

    Attributes
    ----------
    split : str
        The division of a deployment's traffic, drawn; empty for a function.
    answered : int
        How many of the calls it answered.
    median : float or None
        Of what it said in them.
    """

    node: NodeView
    status: Status | None
    split: str
    answered: int
    median: float | None


def composites(visit: Visit) -> Reply:
    """All composites."""
    states: tuple[CompositeState, ...] = visit.call("composites.list")
    found: list[CompositeDetails] = [visit.call("composites.show", composite=state.composite) for state in states]
    rows = [(details, _verdict(details)[0]) for details in found]
    return render(visit, "composites.html", title="Composites", rows=rows)


def composite(visit: Visit, *, problem: str = "", status: int = 200) -> Reply:
    """One composite."""
    name = visit.parameters["composite"]
    details: CompositeDetails = visit.call("composites.show", composite=name)
    calls = _newest(visit, name)
    of_live = [call for call in calls if call.version == details.live.version]
    return render(
        visit,
        "composite.html",
        title=name,
        status=status,
        problem=problem,
        details=details,
        verdict=_verdict(details),
        nodes=[_row(node, of_live) for node in details.nodes],
        n_calls=len(of_live),
        calls=calls,
        said=list(dict.fromkeys(node for call in calls for node in call.nodes)),
        can_release=visit.principal.may("releases:write", about={"deployment": name}),
    )


def roll_back(visit: Visit) -> Reply:
    """A form was sent to return to the version before."""
    name = visit.parameters["composite"]
    try:
        visit.call("composites.rollback", composite=name)
    except OctavoError as error:
        return composite(visit, problem=error.message, status=409)
    return Reply(location=f"/composites/{quote(name)}")


def _newest(visit: Visit, name: str) -> tuple[PredictionSummary, ...]:
    """None where the visitor may not see any, and of a composite that the project declares no more."""
    try:
        return visit.call_if_allowed("predictions:read", "predictions.list", deployment=name, limit=_CALLS) or ()
    except OctavoError:
        return ()


def _verdict(details: CompositeDetails) -> tuple[Status, str]:
    version, last = details.live.version, details.nodes[-1].name
    for node in details.nodes:
        status = _status(node)
        if status is not None and status.word != "live":
            return status, f"Version {version} cannot be answered by all of its nodes: {node.name} is {status.word}."
    return healthy("answers"), f"Version {version} answers with the value of its last node, {last}."


def _status(node: NodeView) -> Status | None:
    """How a node's deployment stands; None of a function."""
    if node.deployment is None:
        return None
    state = node.deployment.state
    if state.stopped is not None:
        return failing("stopped")
    return unknown("not released") if state.live is None else healthy("live")


def _row(node: NodeView, calls: Sequence[PredictionSummary]) -> NodeRow:
    said = [value for call in calls if (value := call.nodes.get(node.name)) is not None]
    return NodeRow(
        node=node,
        status=_status(node),
        split=split(node.deployment.arms) if node.deployment else "",
        answered=len(said),
        median=median(said) if said else None,
    )


PAGES = (
    Page(path="/composites", permission="deployments:read", show=composites),
    Page(path="/composites/{composite}", permission="deployments:read", show=composite),
    Page(path="/composites/{composite}/rollback", permission="releases:write", show=roll_back, method="POST"),
)
