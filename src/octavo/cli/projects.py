"""new, plan, apply: a project and its definitions."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.output import Json, emit_json, say
from octavo.cli.session import open_session
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
    template: Annotated[str, typer.Argument(help=f"One of: {', '.join(template_names())}.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the project; must be empty or absent.")],
    json: Json = False,
) -> None:
    """Write a project from a template.

    The project is ordinary code: a module of about a hundred lines that declares everything, and octavo.toml.
    Afterwards: cd FOLDER && octavo up
    """
    files = write_template(template, folder, name=folder.resolve().name)
    if json:
        emit_json({"template": template, "folder": str(folder), "files": files})
        return
    say(f"Wrote {len(files)} files to [bold]{folder}[/]: {', '.join(files)}")
    say(f"Next: cd {folder} && octavo up")


def plan(json: Json = False) -> None:
    """Say what applying the project would change, and whom that affects. Changes nothing."""
    _show(open_session().call(PlanProject()), json=json, done=False)


def apply(json: Json = False) -> None:
    """Put the project's definitions into force.

    A definition that cannot be right is refused with the reason. Applying the same project twice changes nothing.
    """
    _show(open_session().call(ApplyProject()), json=json, done=True)


def _show(planned: Plan, *, json: bool, done: bool) -> None:
    if json:
        emit_json(planned)
        return
    for change in planned.changes:
        say(f"{_SIGN[change.kind]} {change.definition}{_detail(change)}")
    verb = "Applied" if done else "Would change"
    say(
        f"{verb} {len(planned.changes)} of {len(planned.changes) + planned.unchanged} definitions in {planned.project}."
    )


def _detail(change: Change) -> str:
    fields = f" ({', '.join(change.fields)})" if change.fields else ""
    affects = f"  [dim]affects {', '.join(change.affects)}[/]" if change.affects else ""
    return fields + affects
