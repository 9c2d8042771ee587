"""What people and programs can do with composites."""

from collections.abc import Sequence
from dataclasses import dataclass

from octavo.operations import Context, Operations
from octavo.release.composites import (
    CompositeState,
    CompositeVersion,
    PlannedNode,
    composite_state,
    live_version,
    publish_composite,
    roll_back,
)
from octavo.release.lifecycle import deployment_state
from octavo.release.operations import DeploymentSummary, summary_of

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListComposites:
    """All composites."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowComposite:
    composite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBackComposite:
    """Return to the version before the live one."""

    composite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node of a composite, with what answers for it now.

    Attributes
    ----------
    deployment : DeploymentSummary or None
        None for a function.
    takes : tuple of str
        A function's parameters: earlier nodes, and fields of the request. Of a deployment the earlier nodes only.
    when : str
        The function that says for which rows it is asked; empty if it is for all.
    """

    name: str
    deployment: DeploymentSummary | None
    takes: tuple[str, ...]
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeDetails:
    """A composite: which version is live, what it consists of, and all versions, the newest first.

    Attributes
    ----------
    nodes : tuple of NodeView
        Of the live version, in the order in which they are asked.
    """

    state: CompositeState
    live: CompositeVersion
    nodes: tuple[NodeView, ...]
    versions: tuple[CompositeVersion, ...]


@operations.operation("composites.list", request=ListComposites, permission="deployments:read")
def list_composites(request: ListComposites, context: Context) -> tuple[CompositeState, ...]:
    """List composites with what they serve."""
    return tuple(context.transacted.find(CompositeState))


@operations.operation("composites.show", request=ShowComposite, permission="deployments:read")
def show_composite(request: ShowComposite, context: Context) -> CompositeDetails:
    """Show a composite: its nodes, and its versions."""
    tx = context.transacted
    state = composite_state(tx, request.composite)
    live = live_version(tx, state)
    nodes = tuple(_view(node, context, nodes=live.plan.nodes) for node in live.plan.nodes)
    versions = tx.find(CompositeVersion, newest_first=True, composite=request.composite)
    return CompositeDetails(state=state, live=live, nodes=nodes, versions=tuple(versions))


# A long operation: the manifest is published after the records are committed, so that it works without a worker.
@operations.operation(
    "composites.rollback", request=RollBackComposite, permission="releases:write", changes=True, long=True
)
def roll_back_composite(request: RollBackComposite, context: Context) -> CompositeState:
    """Return a composite to its version before."""
    state = roll_back(context, request.composite)
    publish_composite(context, request.composite)
    return state


def _view(node: PlannedNode, context: Context, *, nodes: Sequence[PlannedNode]) -> NodeView:
    tx, when = context.transacted, node.when.name if node.when else ""
    if node.function is not None:
        return NodeView(name=node.name, deployment=None, takes=node.function.inputs, when=when)
    declared = context.project.deployments.get(node.deployment)
    sent = {field.name for field in declared.model.request_fields} if declared else set[str]()
    return NodeView(
        name=node.name,
        deployment=summary_of(tx, deployment_state(tx, node.deployment)),
        takes=tuple(other.name for other in nodes[: nodes.index(node)] if other.name in sent),
        when=when,
    )
