"""models history: who served what, and when."""

from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, say, show_table
from octavo.cli.session import ask
from octavo.cli.times import parse_time
from octavo.release.history import Naming, Service
from octavo.release.history_operations import History, ShowHistory


def history(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Only of this model.")] = None,
    deployment: Annotated[str | None, typer.Option(help="Only in this deployment.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Only what held at this moment (RFC 3339).")] = None,
    json: Json = False,
) -> None:
    """Show which version served which share of which deployment, and what aliases named, when.

    A part lasts from its begin until just before its end. The share is the probability with which the version answered:
    a shadow answers nobody, and while a deployment is stopped no version does.

    \b
    Examples:
      octavo models history arrival_delay
      octavo models history --deployment eta --at 2013-07-10T00:00:00Z

    \b
    Next:
      octavo models version MODEL VERSION
    """
    found: History = ask(ShowHistory(model=model, deployment=deployment, at=parse_time(at, option="at")))
    if json:
        emit_json(found)
        return
    show_table(
        ["from", "until", "deployment", "version", "?as", ">share", "?group"],
        (
            [s.since, s.until, s.deployment, f"{s.model} {s.version}", s.role, _share(s), s.group]
            for s in found.services
        ),
        empty="No version served then."
        if at
        else "No version has served yet. Release one: octavo deployments release NAME",
    )
    if found.namings:
        say("")
        show_table(["from", "until", "alias", ">version", "?by"], map(_naming, found.namings), empty="")


def _share(service: Service) -> str:
    if service.stopped:
        return f"stopped: {service.stopped}"
    if service.role == "shadow":
        return f"sees {service.sample:g} %"
    return f"{service.share * 100:.4g} %"


def _naming(naming: Naming) -> list[object]:
    return [naming.since, naming.until, f"{naming.model}@{naming.alias}", naming.version, naming.by]
