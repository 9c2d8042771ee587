"""What people and programs can do with composites."""

from dataclasses import dataclass

from octavo.operations import Context, Operations
from octavo.release.composites import (
    CompositeState,
    CompositeVersion,
    composite_state,
    live_version,
    publish_composite,
    roll_back,
)

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
class CompositeDetails:
    """A composite: which version is live, what it consists of, and all versions, the newest first."""

    state: CompositeState
    live: CompositeVersion
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
    versions = tx.find(CompositeVersion, newest_first=True, composite=request.composite)
    return CompositeDetails(state=state, live=live_version(tx, state), versions=tuple(versions))


# A long operation: the manifest is published after the records are committed, so that it works without a worker.
@operations.operation(
    "composites.rollback", request=RollBackComposite, permission="releases:write", changes=True, long=True
)
def roll_back_composite(request: RollBackComposite, context: Context) -> CompositeState:
    """Return a composite to its version before."""
    state = roll_back(context, request.composite)
    publish_composite(context, request.composite)
    return state
