"""new, plan, apply: a project and its definitions."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, say
from octavo.cli.session import ask
from octavo.definitions.changes import Change, ChangeKind
from octavo.loop.definitions import ApplyProject, Plan, PlanProject
from octavo.templates import template_names, write_template

_SIGN = {ChangeKind.ADDED: "[green]+[/]", ChangeKind.CHANGED: "[yellow]~[/]", ChangeKind.REMOVED: "[red]-[/]"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(new)
    app.command()(plan)
    app.command()(apply)


def new(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help=f"One of: {', '.join(template_names())}.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to write the project; must be empty or absent.")
    ],
    json: Json = False,
) -> None:
    """Write a project from a template.

    A project is ordinary code: a module of about a hundred lines that declares everything, and octavo.toml with its
    settings. Change it as you like; `octavo plan` says what a change would do.

    \b
    Example:
      octavo new trips my-project

    \b
    Next:
      cd my-project
      octavo up
    """
    files = write_template(template, folder, name=folder.resolve().name)
    if json:
        emit_json({"template": template, "folder": str(folder), "files": files})
        return
    say(f"Wrote {', '.join(files)} to {plain(folder)}.")
    say(f"Next: cd {plain(folder)} && octavo up")


def plan(json: Json = False) -> None:
    """Say what applying the project would change, and whom that affects.

    It compares the project's module with the definitions that are in force. It changes nothing. A definition that
    cannot be right is refused, with the reason.

    \b
    Example:
      octavo plan

    \b
    Next:
      octavo apply
    """
    planned: Plan = ask(PlanProject())
    if json:
        emit_json(planned)
        return
    _show(planned)
    total = len(planned.changes) + planned.unchanged
    if planned.changes:
        say(f"Would change {len(planned.changes)} of {total} definitions of {planned.project}. Next: octavo apply")
    else:
        say(f"All {total} definitions of {planned.project} are in force as they stand here.")


def apply(json: Json = False) -> None:
    """Put the project's definitions into force.

    Running processes take them over by themselves. Applying the same project twice changes nothing.

    \b
    Example:
      octavo apply

    \b
    Next:
      octavo ingest events/*.parquet
      octavo up
    """
    applied: Plan = ask(ApplyProject())
    if json:
        emit_json(applied)
        return
    _show(applied)
    say(f"Applied {len(applied.changes)} definitions of {applied.project}; {applied.unchanged} were in force already.")


def _show(planned: Plan) -> None:
    for change in planned.changes:
        say(f"{_SIGN[change.kind]} {change.definition}{_detail(change)}")
        again = "" if change.kind is ChangeKind.ADDED else " again"
        if change.materialize:
            say(f"    to be materialized{again}: {', '.join(change.materialize)}")
        if change.retrain:
            say(f"    to be trained again: {', '.join(change.retrain)}")
    for warning in planned.warnings:
        say(f"[yellow]Warning:[/] {plain(warning)}")


def _detail(change: Change) -> str:
    fields = f" ({', '.join(change.fields)})" if change.fields else ""
    affects = f"  [dim]affects {', '.join(change.affects)}[/]" if change.affects else ""
    return fields + affects
