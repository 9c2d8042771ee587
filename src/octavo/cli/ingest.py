"""ingest: events of a source, from files or from the input stream."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.failures import INTERRUPTED
from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, show_table
from octavo.cli.rows import STDIN, read_lines
from octavo.cli.session import Progressing, Session, open_session, progress_bar
from octavo.definitions.project import Project
from octavo.definitions.sources import Source
from octavo.errors import InvalidRequest, NotFound
from octavo.features.events.derived import sendable
from octavo.features.events.ingest import ROWS_PER_PAYLOAD, Accepted, BadRows, ingest_file
from octavo.features.events.ingest import ingest as ingest_events
from octavo.features.events.sent import SentLines
from octavo.operations import Context


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ingest)


def ingest(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="A .parquet or .jsonl file, or several; - reads lines of JSON."),
    ],
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="The source; each file's name without its ending unless given.")
    ] = None,
    keep_bad: Annotated[
        bool, typer.Option("--keep-bad", help="Keep wrong rows as dead letters, and take the others.")
    ] = False,
    json: Json = False,
) -> None:
    """Send events of a source, from files or from the input stream.

    An event is accepted when it is safe on disk. Its id tells whether it was sent before, so sending a file again
    doubles nothing: after an interruption, or with a row put right, send the whole file again. A file that holds a
    wrong row is refused from there on, with the row, the field and the fix; or, with --keep-bad, the wrong rows are
    kept with the reason, to be replayed once it is mended.

    \b
    Examples:
      octavo ingest events/departures.parquet events/landings.parquet
      octavo ingest today.jsonl --source departures
      octavo ingest today.jsonl --source departures --keep-bad
      zcat departures.jsonl.gz | octavo ingest - --source departures

    \b
    Next:
      octavo train MODEL
      octavo up
    """
    with open_session() as session:
        bad = BadRows.KEEP if keep_bad else BadRows.REFUSE
        project = session.context.project
        accepted = [_send(session, file, source or _named_by(file, project), bad=bad) for file in files]
    if json:
        emit_json(accepted)
        return
    show_table(
        ["source", ">rows accepted", ">kept as dead letters"],
        ([a.source, f"{a.rows:,}", f"{a.bad:,}"] for a in accepted),
        empty="Nothing was sent.",
    )
    if any(a.bad for a in accepted):
        note("what was wrong with them: octavo events dead")


def _named_by(file: str, project: Project) -> str:
    """The source that a file is named as."""
    if file == STDIN:
        raise InvalidRequest(
            "the input stream does not say which source its events are of", field="source", fix="add --source NAME"
        )
    if not Path(file).is_file():
        raise NotFound("file", file)
    if (name := Path(file).stem) not in project.sources:
        fix = f"or say whose events are in {file}: --source NAME"
        raise NotFound("source", name, project.sources, fix=fix)
    return name


def _send(session: Session, file: str, source: str, *, bad: BadRows) -> Accepted:
    context = session.context
    definition = sendable(context.project, source)
    try:
        with progress_bar() as report:
            if file == STDIN:
                return _send_lines(context, definition, report, bad=bad)
            stores, clock = context.stores, context.clock
            return ingest_file(Path(file), definition, stream=stores.stream, clock=clock, bad=bad, progress=report)
    except KeyboardInterrupt as interrupt:
        note(f"interrupted; what was accepted of {plain(file)} is kept, and sending all of it again doubles nothing")
        raise typer.Exit(INTERRUPTED) from interrupt


def _send_lines(context: Context, source: Source, report: Progressing, *, bad: BadRows) -> Accepted:
    accepted = Accepted(source=source.name, rows=0, offset=0)
    sent = 0
    for part in read_lines(at_most=ROWS_PER_PAYLOAD):
        lines = SentLines(lines=[line for _, line in part], numbers=[number for number, _ in part], first_row=sent)
        accepted = accepted.then(
            ingest_events(lines, source, stream=context.stores.stream, clock=context.clock, bad=bad)
        )
        sent += len(part)
        report(0.0, f"{accepted.rows:,} rows of {source.name}")
    return accepted
