"""audit: who changed what, and the proof that it is all there."""

from io import BufferedReader
from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.options import Json, Limit
from octavo.cli.output import emit_json, note, plain, say, show_facts, show_table
from octavo.cli.session import ask
from octavo.cli.times import parse_time
from octavo.errors import IntegrityError, InvalidRequest
from octavo.governance.checkpoints import AuditCheckpoint, SignedCheckpoint, decode_checkpoint
from octavo.governance.exports import Verdict, verify_lines
from octavo.governance.operations import ExportAudit, ListAudit, MakeCheckpoint, VerifyAudit
from octavo.governance.trail import ExportedAudit
from octavo.stores.chain import AuditEvent

_KEY_BYTES = 32


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command("list")(list_)
    for command in (verify, export, checkpoint):
        commands.command()(command)
    app.add_typer(commands, name="audit")


def overview(context: typer.Context, limit: Limit = 50, json: Json = False) -> None:
    """Show who changed what, and prove that it is all there.

    Every operation that changes something is here, those that were refused, failed or denied too.

    \b
    Examples:
      octavo audit --limit 10
      octavo audit list --operation releases. --target deployment=eta
      octavo audit verify

    \b
    Next:
      octavo deployments show NAME    (the history of each release)
    """
    if context.invoked_subcommand is None:
        _show(ask(ListAudit(limit=limit)), json=json)


def list_(
    actor: Annotated[str, typer.Option(help="Only of this actor, or of the person behind it.")] = "",
    operation: Annotated[str, typer.Option(help="Only this operation; releases. is all that begin so.")] = "",
    target: Annotated[str, typer.Option(help="Only where the target holds this, such as deployment=eta.")] = "",
    outcome: Annotated[str, typer.Option(help="Only what ended so: done, denied, failed, 'refused: CODE'.")] = "",
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only from this moment on (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only before this moment (RFC 3339).")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """Show the events that are about something, the newest first.

    \b
    Examples:
      octavo audit list --outcome denied
      octavo audit list --actor admin --since 2013-07-09T00:00:00Z

    \b
    Next:
      octavo audit export --out audit.jsonl
    """
    asked = ListAudit(
        limit=limit,
        actor=actor,
        operation=operation,
        target=target,
        outcome=outcome,
        since=parse_time(since, option="since"),
        until=parse_time(until, option="until"),
    )
    _show(ask(asked), json=json)


def verify(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="An export; the project's own trail.")] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A checkpoint that was kept elsewhere; may be repeated.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The trusted public key: 64 hexadecimal digits, or a file.")
    ] = None,
    json: Json = False,
) -> None:
    """Check that nothing in the audit trail was changed, removed or put in; say the first place where it was.

    With a FILE this needs no project and no network. Without one it checks the trail of the project here, with its
    checkpoints. The key of a project is in .octavo/keys/release.pub.

    \b
    Examples:
      octavo audit verify
      octavo audit verify audit.jsonl --key release.pub
      octavo audit verify audit.jsonl --checkpoint audit-shop-000000001000.json

    \b
    Next:
      octavo audit export --out audit.jsonl
    """
    given = tuple(_read_checkpoint(path) for path in checkpoint or ())
    if file is None:
        verdict: Verdict = ask(VerifyAudit(checkpoints=given))
    else:
        trusted = None if key is None else _read_key(key)
        with _opened(file) as lines:
            verdict = verify_lines(lines, key=trusted, checkpoints=given)
    if verdict.problem:
        raise IntegrityError(verdict.problem, sequence=verdict.sequence, holds_until=verdict.last)
    if json:
        emit_json(verdict)
        return
    _show_verdict(verdict)


def export(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it; no file that is there is replaced.")],
    first: Annotated[int, typer.Option("--from", min=1, help="The first entry.")] = 1,
    last: Annotated[int | None, typer.Option("--to", help="The last entry; the newest.")] = None,
    json: Json = False,
) -> None:
    """Write the audit trail to a file that proves itself: entries, checkpoints, the key, and a signature over it all.

    \b
    Example:
      octavo audit export --out audit.jsonl

    \b
    Next:
      octavo audit verify audit.jsonl
    """
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            try:
                exported: ExportedAudit = ask(ExportAudit(first=first, last=last))
                file.write(exported.text)
            except BaseException:
                out.unlink()
                raise
    except OSError as error:
        raise InvalidRequest(f"{out} cannot be written: {error.strerror}", field="out", fix="name another") from error
    if json:
        emit_json({"file": str(out), "first": exported.first, "last": exported.last, "newest": exported.newest})
        return
    say(f"Wrote entries {exported.first} to {exported.last} to {plain(out)}.")
    if last is None and exported.last < exported.newest:
        note(f"There are {exported.newest}; go on with --from {exported.last + 1}.")


def checkpoint(json: Json = False) -> None:
    """State now, signed, how far the audit trail goes, and keep that where [audit] checkpoints says.

    The worker does so by itself, after so many events and once a day.

    \b
    Example:
      octavo audit checkpoint

    \b
    Next:
      octavo audit verify
    """
    made: AuditCheckpoint | None = ask(MakeCheckpoint())
    if json:
        emit_json(made)
    elif made is None:
        say("Nothing was changed yet, so there is nothing to state.")
    else:
        kept = f"kept in {plain(made.delivered_to)}" if made.delivered_to else "on record, and kept nowhere else yet"
        say(f"Stated {made.sequence} entries, with digest {made.digest}; {kept}.")


def _show(events: tuple[AuditEvent, ...], *, json: bool) -> None:
    if json:
        emit_json(events)
        return
    show_table(
        ["when", "who", "did", "to", "outcome", "?why"],
        ([e.at, e.actor, e.operation, e.target, e.outcome, e.detail] for e in events),
        empty="There is no such event.",
    )


def _show_verdict(verdict: Verdict) -> None:
    entries = verdict.last - verdict.first + 1
    say(f"[green]All {entries} entries are as they were written.[/]" if entries else "There is no entry yet.")
    show_facts(
        [
            ("project", verdict.project),
            ("entries", f"{verdict.first} to {verdict.last}"),
            ("digest", verdict.digest),
            ("checkpoints met", verdict.checkpoints),
            ("signed by", verdict.key_id),
        ]
    )
    if not verdict.key_given:
        note(
            "This was checked by the key in the file itself. Whoever writes a file anew can replace both: give a key "
            "that you had before (--key), and a checkpoint that was kept elsewhere (--checkpoint)."
        )


def _opened(file: Path) -> BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}", field="file", fix="name an export") from error


def _read_checkpoint(path: Path) -> SignedCheckpoint:
    try:
        return decode_checkpoint(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror}", field="checkpoint", fix="name a checkpoint"
        ) from error


def _read_key(text: str) -> bytes:
    path = Path(text)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip() if path.is_file() else text)
    except (OSError, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidRequest(
            f"{text} is no public key", field="key", fix="give 64 hexadecimal digits, or a file such as release.pub"
        )
    return key
