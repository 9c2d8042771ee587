"""clock: what time it is on the platform."""

from typing import Annotated, Any

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, say
from octavo.cli.times import parse_time
from octavo.client import Client


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(clock)


def clock(
    to: Annotated[str | None, typer.Option(help="Move a replayed clock to this moment: 2013-07-09T05:00:00Z.")] = None,
    json: Json = False,
) -> None:
    """Show what time it is on the platform, and move a replayed clock.

    A replay lives in the time of its events. Its clock never goes back, and stops at each moment at which something is
    due until the worker has done it. A project on the system's clock cannot be moved.

    \b
    Examples:
      octavo clock
      octavo clock --to 2013-07-09T05:00:00Z

    \b
    Next:
      octavo ingest FILE    (what had become known by then)
      octavo monitor
    """
    moment = parse_time(to, option="to")
    with Client.here() as client:
        reading: dict[str, Any] = client.read_clock() if moment is None else client.advance_clock(moment)
    if json:
        emit_json(reading)
        return
    say(f"{reading['now']}, {'by a replayed clock' if reading['replay'] else 'by the clock of the system'}")
