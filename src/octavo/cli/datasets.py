"""datasets: rows with feature values as they were known, and what each was made of."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.options import Json, Limit
from octavo.cli.output import emit_json, say, show_facts, show_table
from octavo.cli.session import Session, open_session, progress_bar
from octavo.cli.spines import read_spine
from octavo.cli.times import parse_time
from octavo.config import config_here
from octavo.errors import IntegrityError, Unavailable
from octavo.features.datasets.building import Rebuilt, encode_rows, kept_file
from octavo.features.datasets.files import digest_of_file
from octavo.features.datasets.operations import (
    BuildDataset,
    DatasetSummary,
    ListDatasets,
    RebuildDataset,
    ShowDataset,
)
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.stores.ownership import online_lock

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="The dataset's digest, or the beginning of it.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The Parquet file to write the rows to.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(build)
    commands.command()(show)
    commands.command()(verify)
    commands.command()(rebuild)
    app.add_typer(commands, name="datasets")


def overview(context: typer.Context, limit: Limit = 20, json: Json = False) -> None:
    """Show the datasets on record, those that models were trained on too.

    \b
    Examples:
      octavo datasets
      octavo datasets build --model arrival_delay --out cases.parquet
      octavo datasets show DIGEST

    \b
    Next:
      octavo datasets rebuild DIGEST
    """
    if context.invoked_subcommand is not None:
        return
    with open_session() as session:
        found: tuple[DatasetSummary, ...] = session.call(ListDatasets(limit=limit))
    if json:
        emit_json(found)
        return
    show_table(
        ["dataset", "what", ">rows", "?>columns", "?known until", "?built", "?by"],
        ([_short(d.digest), d.what, f"{d.rows:,}", d.columns, d.as_of, d.built_at, d.built_by] for d in found),
        empty="No dataset yet. Build one: octavo datasets build --model MODEL --out FILE.parquet",
    )


def build(
    views: Annotated[
        list[str] | None, typer.Argument(metavar="VIEW", help="The feature views whose values are wanted.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Its labelled cases; with --spine or --every, the feature views that it takes.")
    ] = None,
    spine: Annotated[
        str | None, typer.Option(help="A .parquet or .csv file: the rows, or with --every the entities.")
    ] = None,
    at: Annotated[str, typer.Option(help="The spine's column with the moment of each row.")] = "at",
    every: Annotated[str | None, typer.Option(help="The step of a grid of moments, such as 1h.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="The first moment of the grid.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The grid ends before it; now unless given.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Of labelled cases: only what was known before; now.")] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Build a dataset: rows with the values of features as they were known at the moment of each.

    The rows are a model's labelled cases, those of a file with entity keys and times, or each entity at regular
    moments from its first event on. The dataset is put on record under the digest of its content, with the queries and
    the versions of the tables that it was made by, so that it can be made again. Its rows are written to --out.

    \b
    Examples:
      octavo datasets build --model arrival_delay --out cases.parquet
      octavo datasets build plane_landings --spine wanted.csv --out values.parquet
      octavo datasets build plane_landings --every 1h --from 2013-07-01T00:00:00Z

    \b
    Next:
      octavo datasets show DIGEST
    """
    asked = BuildDataset(
        model=model,
        views=tuple(views or ()),
        rows=encode_rows(read_spine(Path(spine), at=None if every else at)) if spine else b"",
        at=at,
        every=every,
        since=parse_time(since, option="from"),
        until=parse_time(until, option="to"),
        as_of=parse_time(as_of, option="as-of"),
        keep=out is not None,
    )
    if not online_lock(config_here()).is_taken():
        bring_up_to_date()
    with open_session() as session, progress_bar() as report:
        built: DatasetSnapshot = session.call(asked, progress=report)
        if out is not None:
            _move(session, built.digest, out)
    if json:
        emit_json(built)
        return
    say(f"Dataset {built.digest}: {built.rows:,} rows, {len(built.columns)} columns{_written(out)}.")
    say(f"Next: octavo datasets show {_short(built.digest)}")


def show(dataset: Digest, json: Json = False) -> None:
    """Show what a dataset was made of: rows and columns, tables by version, queries.

    \b
    Example:
      octavo datasets show sha256:3f2a

    \b
    Next:
      octavo datasets rebuild DIGEST
    """
    with open_session() as session:
        found: DatasetSnapshot = session.call(ShowDataset(dataset=dataset))
    if json:
        emit_json(found)
        return
    show_facts(
        [
            ("dataset", found.digest),
            ("what", found.recipe.what),
            ("rows", f"{found.rows:,}"),
            ("known until", found.as_of),
            ("built", found.built_at),
            ("by", found.built_by),
            ("tables", [f"{table} at version {version}" for table, version in found.tables.items()]),
            ("feature views", [query.view for query in found.recipe.views]),
            ("rows from", found.recipe.spine.sql or f"the rows that were given, {found.given}"),
        ]
    )
    say("")
    show_table(["column", "type"], ([c.name, c.type] for c in found.columns), empty="It has no columns.")


def verify(file: Annotated[Path, typer.Argument(metavar="FILE", help="A Parquet file.")], json: Json = False) -> None:
    """Check that a Parquet file holds the rows of a dataset on record, whatever wrote it.

    \b
    Example:
      octavo datasets verify cases.parquet

    \b
    Next:
      octavo datasets show DIGEST
    """
    digest = digest_of_file(file)
    with open_session() as session:
        found: DatasetSnapshot = session.call(ShowDataset(dataset=digest))
    if json:
        emit_json(found)
        return
    say(f"{file.name} holds dataset {found.digest}: {found.recipe.what}, built by {found.built_by}.")


def rebuild(dataset: Digest, out: Out = None, json: Json = False) -> None:
    """Make a dataset again, from the versions of the tables on record, and say whether it is the same.

    It is an error if it is not.

    \b
    Examples:
      octavo datasets rebuild sha256:3f2a
      octavo datasets rebuild sha256:3f2a --out cases.parquet

    \b
    Next:
      octavo datasets verify FILE
    """
    with open_session() as session, progress_bar() as report:
        again: Rebuilt = session.call(RebuildDataset(dataset=dataset, keep=out is not None), progress=report)
        if out is not None:
            _move(session, again.made, out)
    if not again.equal:
        raise IntegrityError(
            f"dataset {again.digest} came out as {again.made}: a table's files, or the engine that computes, are not "
            "what they were"
        )
    if json:
        emit_json(again)
        return
    say(f"Dataset {again.digest} was made again, {again.rows:,} rows, and is the same{_written(out)}.")


def _move(session: Session, digest: str, out: Path) -> None:
    """Give the rows that the platform kept to the user."""
    kept = kept_file(session.context, digest)
    try:
        shutil.move(kept, out)
    except OSError as error:
        kept.unlink(missing_ok=True)
        raise Unavailable(f"{out} cannot be written: {error}") from error


def _written(out: Path | None) -> str:
    return f", written to {out}" if out is not None else ""


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
