"""What can be asked about what came of what."""

from dataclasses import dataclass

from octavo.errors import NotAllowed
from octavo.governance.lineage.nodes import Lineage
from octavo.governance.lineage.walk import lineage_of
from octavo.operations import Context, Operations

operations = Operations()

PREDICTIONS = "predictions:read"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowLineage:
    """What a thing came of, and what came of it.

    Attributes
    ----------
    node : str
        ``kind:name``, or a name that only one thing has.
    up, down : int
        How many steps.
    """

    node: str
    up: int = 1
    down: int = 1


# A long operation, so that no transaction is open while tables are read.
@operations.operation("lineage.show", request=ShowLineage, permission="models:read", long=True)
def show_lineage(request: ShowLineage, context: Context) -> Lineage:
    """Show what a thing came of and what came of it, from event tables to predictions."""
    found = lineage_of(context, request.node, up=request.up, down=request.down)
    if found.node.startswith("prediction:") and not context.principal.may(PREDICTIONS):
        raise NotAllowed(
            f"{context.principal.name} may not see single predictions: it needs the permission {PREDICTIONS!r}",
            permission=PREDICTIONS,
        )
    return found
