"""runs reproduce: train again from the record, and compare."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from octavo.cli.options import Json
from octavo.cli.output import emit_json, say, show_table
from octavo.cli.session import open_session, progress_bar
from octavo.errors import IntegrityError
from octavo.loop.reproductions import ReproduceRun, Reproduction

_SHOWN_DIGEST = len("sha256:") + 12


class Environment(StrEnum):
    FRESH = "fresh"
    CURRENT = "current"


def reproduce(
    run: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the end of it.")],
    environment: Annotated[
        Environment, typer.Option(help="The packages of the record, installed anew, or those that are here.")
    ] = Environment.FRESH,
    json: Json = False,
) -> None:
    """Train again from the record of a run, and say what is equal.

    The rows are made again from the versions of the tables on record, the code is what the run kept of it, and the
    packages are installed in the versions of its environment, in a folder that is removed afterwards. Nothing of the
    project is changed. It is an error if the rows or a metric differ; that the model's files differ is none, since not
    every library writes the same model as the same bytes.

    \b
    Examples:
      octavo runs reproduce 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40
      octavo runs reproduce 2b7a6d40 --environment current

    \b
    Next:
      octavo models version MODEL VERSION
    """
    asked = ReproduceRun(run=run, environment="fresh" if environment is Environment.FRESH else "current")
    with open_session() as session, progress_bar() as report:
        made: Reproduction = session.call(asked, progress=report)
    if json:
        emit_json(made)
    else:
        _show(made)
    if not made.reproduced:
        different = ", ".join(item.item for item in made.items if not item.equal)
        raise IntegrityError(f"run {made.run} does not come out as it did; different: {different}")


def _show(made: Reproduction) -> None:
    show_table(
        ["what", "equal", "recorded", "now", "?note"],
        ([item.item, item.equal, _short(item.recorded), _short(item.now), Text(item.note)] for item in made.items),
        empty="",
    )
    if made.reproduced:
        files = "and so are the model's files" if made.same_bytes else "but the model's files are other bytes"
        say(f"Run {made.run} was reproduced: rows and metrics are equal, {files}.")


def _short(text: str) -> str:
    return text[:_SHOWN_DIGEST] if text.startswith("sha256:") else text
