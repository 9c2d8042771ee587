"""audit: who changed what."""

import typer

from octavo.cli.options import Json, Limit
from octavo.cli.output import emit_json, show_table
from octavo.cli.session import ask
from octavo.governance.operations import ListAudit
from octavo.stores.ports import AuditEvent


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(limit: Limit = 50, json: Json = False) -> None:
    """Show who changed what, and when.

    Every operation that changes something is here, those that were refused or denied too.

    \b
    Example:
      octavo audit --limit 10

    \b
    Next:
      octavo deployments show NAME    (the history of each release)
    """
    events: tuple[AuditEvent, ...] = ask(ListAudit(limit=limit))
    if json:
        emit_json(events)
        return
    show_table(
        ["when", "who", "did", "to", "outcome"],
        ([e.at, e.actor, e.operation, e.target, e.outcome] for e in events),
        empty="Nothing was changed yet.",
    )
