"""export: what a project does, for other programs to do."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, say
from octavo.cli.session import open_session
from octavo.errors import Unavailable
from octavo.loop.exports import ExportAirflow, ExportedDag


class WrittenDag(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG that was written."""

    model: str
    dag: str
    file: str
    schedule: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(no_args_is_help=True)
    commands.callback()(export)
    commands.command()(airflow)
    app.add_typer(commands, name="export")


def export() -> None:
    """Write what the project does in the form of other programs.

    \b
    Example:
      octavo export airflow --out dags
    """


def airflow(
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write into.")] = Path("dags"),
    folder: Annotated[str | None, typer.Option(help="Where the project is on Airflow's workers; here.")] = None,
    command: Annotated[str | None, typer.Option(help="Where octavo is on Airflow's workers; the one here.")] = None,
    json: Json = False,
) -> None:
    """Write a DAG of Airflow for each model: events, dataset, steps, training, release.

    It is a file of its own that people can read and change. Its tasks call octavo where the project is, so Airflow
    needs nothing of Octavo but the folder and the program; each can be tried again. It is scheduled as the model's
    crons say, in their zone. For Airflow 3.

    \b
    Examples:
      octavo export airflow
      octavo export airflow --model arrival_delay -o /srv/airflow/dags

    \b
    Next:
      airflow dags list
    """
    asked = ExportAirflow(model=model, folder=folder or "", command=command or _octavo())
    with open_session() as session:
        exported: tuple[ExportedDag, ...] = session.call(asked)
    written = [_write(one, out) for one in exported]
    if json:
        emit_json(written)
        return
    for one in written:
        say(f"{plain(one.file)}: {one.dag}, {plain(one.schedule or 'started by hand')}")


def _write(dag: ExportedDag, out: Path) -> WrittenDag:
    file = out / f"{dag.dag}.py"
    try:
        out.mkdir(parents=True, exist_ok=True)
        file.write_text(dag.text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error}") from error
    return WrittenDag(model=dag.model, dag=dag.dag, file=str(file), schedule=dag.schedule)


def _octavo() -> str:
    beside = Path(sys.executable).with_name("octavo")
    return str(beside) if beside.is_file() else shutil.which("octavo") or "octavo"
