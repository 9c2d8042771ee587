"""ingest: events of a source, from files or from the input stream."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.failures import INTERRUPTED
from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, show_table
from octavo.cli.rows import STDIN, read_lines
from octavo.cli.session import Progressing, Session, open_session, progress_bar
from octavo.errors import InvalidRequest
from octavo.features.ingest import ROWS_PER_PAYLOAD, Accepted, ingest_file
from octavo.features.operations import IngestEvents


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ingest)


def ingest(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="A .parquet or .jsonl file, or several; - reads lines of JSON."),
    ],
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="The source; each file's name without its ending unless given.")
    ] = None,
    json: Json = False,
) -> None:
    """Send events of a source, from files or from the input stream.

    An event is accepted when it is safe on disk. Its id tells whether it was sent before, so sending a file again
    doubles nothing: after an interruption, or with a row put right, send the whole file again. A file that holds a
    wrong row is refused from there on, with the row, the field and the fix.

    \b
    Examples:
      octavo ingest events/departures.parquet events/landings.parquet
      octavo ingest today.jsonl --source departures
      zcat departures.jsonl.gz | octavo ingest - --source departures

    \b
    Next:
      octavo train MODEL
      octavo up
    """
    with open_session() as session:
        accepted = [_send(session, file, source or _source_of(file)) for file in files]
    if json:
        emit_json(accepted)
        return
    show_table(["source", ">rows accepted"], ([a.source, f"{a.rows:,}"] for a in accepted), empty="Nothing was sent.")


def _source_of(file: str) -> str:
    if file == STDIN:
        raise InvalidRequest(
            "the input stream does not say which source its events are of", field="source", fix="add --source NAME"
        )
    return Path(file).stem


def _send(session: Session, file: str, source: str) -> Accepted:
    context = session.context
    definition = context.project.source(source)
    try:
        with progress_bar() as report:
            if file == STDIN:
                return _send_lines(session, source, report)
            stores, clock = context.stores, context.clock
            return ingest_file(Path(file), definition, stream=stores.stream, clock=clock, progress=report)
    except KeyboardInterrupt as interrupt:
        note(f"interrupted; what was accepted of {plain(file)} is kept, and sending all of it again doubles nothing")
        raise typer.Exit(INTERRUPTED) from interrupt


def _send_lines(session: Session, source: str, report: Progressing) -> Accepted:
    accepted = Accepted(source=source, rows=0, offset=0)
    for rows in read_lines(at_most=ROWS_PER_PAYLOAD):
        part: Accepted = session.call(IngestEvents(source=source, rows=tuple(rows)))
        accepted = Accepted(source=source, rows=accepted.rows + part.rows, offset=part.offset)
        report(0.0, f"{accepted.rows:,} rows of {source}")
    return accepted
