"""incidents: what went wrong, since when and why."""

from typing import Annotated

import typer

from octavo.cli.measures import duration, number
from octavo.cli.options import Json, Limit
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.session import ask
from octavo.monitoring.incidents import Incident
from octavo.monitoring.operations import ListIncidents, ResolveIncident, ShowIncident

Id = Annotated[str, typer.Argument(metavar="ID", help="The incident's id.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(show)
    commands.command()(resolve)
    app.add_typer(commands, name="incidents")


def overview(
    context: typer.Context,
    deployment: Annotated[str | None, typer.Option(help="Only of this deployment.")] = None,
    open: Annotated[bool | None, typer.Option("--open/--resolved", help="Only those open, or only those not.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Show what went wrong, since when and why; and end it.

    An incident opens by itself when a look at a deployment finds data quality, drift, error or age beyond what its
    monitor allows. It ends by itself at the first healthy look by the live version.

    \b
    Examples:
      octavo incidents
      octavo incidents --open
      octavo incidents show ID

    \b
    Next:
      octavo monitor show DEPLOYMENT
    """
    if context.invoked_subcommand is not None:
        return
    found: tuple[Incident, ...] = ask(ListIncidents(deployment=deployment, open=open, limit=limit))
    if json:
        emit_json(found)
        return
    show_table(
        ["incident", "kind", "deployment", "lasted", "?opened", "?about", "?cause"],
        ([i.id, i.incident_kind, i.deployment, _lasted(i), i.opened_at, i.subject, i.cause] for i in found),
        empty="No incident. See how deployments do: octavo monitor",
    )


def show(incident: Id, json: Json = False) -> None:
    """Show an incident: what was measured, what brought it about, and what happened since.

    \b
    Example:
      octavo incidents show 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    \b
    Next:
      octavo incidents resolve ID --cause "the airport was closed"
    """
    found: Incident = ask(ShowIncident(incident=incident))
    if json:
        emit_json(found)
        return
    show_facts(
        [
            ("incident", found.id),
            ("deployment", f"{found.deployment}, {found.model} {found.version}"),
            ("kind", f"{found.incident_kind} of {found.subject}"),
            ("last measured", f"{number(found.value)}, allowed up to {number(found.threshold)}"),
            ("opened", found.opened_at),
            ("resolved", _resolved(found)),
            ("cause", found.cause),
        ]
    )
    say("")
    show_table(["when", "what"], ([entry.at, entry.text] for entry in found.timeline), empty="Nothing happened since.")


def resolve(
    incident: Id,
    cause: Annotated[str, typer.Option(help="What it was; it takes the place of the cause noted.")] = "",
    json: Json = False,
) -> None:
    """End an incident by hand.

    \b
    Example:
      octavo incidents resolve ID --cause "a sensor was replaced"

    \b
    Next:
      octavo incidents --open
    """
    ended: Incident = ask(ResolveIncident(incident=incident, cause=cause))
    if json:
        emit_json(ended)
        return
    say(f"Resolved: {ended.incident_kind} of {ended.deployment}. Cause: {plain(ended.cause or 'unknown')}")


def _resolved(incident: Incident) -> str:
    if incident.resolved_at is None:
        return "not yet"
    return f"{incident.resolved_at:%Y-%m-%d %H:%M}, after {_lasted(incident)}"


def _lasted(incident: Incident) -> str:
    if incident.resolved_at is None:
        return "open"
    return duration((incident.resolved_at - incident.opened_at).total_seconds())
