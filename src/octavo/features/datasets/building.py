"""Builds datasets for those who ask, keeps them on record, and makes them again from the versions on record."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.features import OnDemand
from octavo.errors import InvalidRequest
from octavo.features.datasets.files import dataset_writer
from octavo.features.datasets.making import DatasetSlice, MadeDataset, make_dataset, pin_tables
from octavo.features.datasets.recipes import Recipe
from octavo.features.datasets.snapshots import DatasetSnapshot, record_dataset
from octavo.features.inputs import functions_of
from octavo.identifiers import new_id
from octavo.operations import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A dataset made again.

    Attributes
    ----------
    digest : str
        On record; `made` is that of the rows which were made now.
    equal : bool
        Whether they are the same.
    """

    digest: str
    made: str
    rows: int
    equal: bool


def kept_file(context: Context, digest: str) -> Path:
    """Where the platform keeps the rows of a dataset, if it does."""
    return _folder(context) / f"{digest.removeprefix('sha256:')}.parquet"


def build(
    context: Context, recipe: Recipe, *, as_of: datetime, keep: bool, given: pa.Table | None = None
) -> DatasetSnapshot:
    """Build a dataset from the tables as they now are, and put it on record.

    Parameters
    ----------
    keep : bool
        Whether its rows are kept too, in `kept_file`.
    given : pa.Table or None
        Rows that the recipe takes; kept as an artifact.

    Raises
    ------
    InvalidRequest
        If the given rows do not fit, or one is about a moment after `as_of`.
    NotFound
        If there are no events of which the rows are made.
    """
    if given is not None and not recipe.spine.sql:
        _refuse_future(given, at=recipe.spine.at, as_of=as_of)
    versions = pin_tables(context.stores.tables, recipe)
    made = _make(context, recipe, versions=versions, given=given, keep=keep)
    artifact = "" if given is None else context.stores.artifacts.put(encode_rows(given))
    return record_dataset(context, made, as_of=as_of, built_by=context.principal.name, given=artifact)


def rebuild(context: Context, snapshot: DatasetSnapshot, *, keep: bool) -> Rebuilt:
    """Make a dataset again, from the versions of the tables that it was made from.

    Raises
    ------
    Conflict
        If an on-demand feature is not what it was.
    NotFound
        If a version or the rows that were given are gone.
    """
    given = decode_rows(context.stores.artifacts.get(snapshot.given)) if snapshot.given else None
    made = _make(context, snapshot.recipe, versions=dict(snapshot.tables), given=given, keep=keep)
    return Rebuilt(digest=snapshot.digest, made=made.digest, rows=made.rows, equal=made.digest == snapshot.digest)


def decode_rows(data: bytes) -> pa.Table:
    """Rows from an Arrow stream.

    Raises
    ------
    InvalidRequest
        If it is none.
    """
    try:
        with pa.ipc.open_stream(data) as stream:
            return stream.read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidRequest(f"the rows are no Arrow stream: {error}", field="rows") from error


def encode_rows(rows: pa.Table) -> bytes:
    """Rows as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _make(
    context: Context, recipe: Recipe, *, versions: dict[str, int], given: pa.Table | None, keep: bool
) -> MadeDataset:
    functions = functions_of(recipe.inputs, _declared(context)) if recipe.inputs is not None else ()
    with ExitStack() as stack:
        scratch = _folder(context) / f".{new_id(context.clock)}"
        writer = stack.enter_context(dataset_writer(scratch)) if keep else None

        def take(piece: DatasetSlice) -> None:
            if writer is not None:
                writer.write(piece.rows)

        made = make_dataset(
            context.stores.tables,
            recipe,
            versions=versions,
            take=take,
            given=given,
            functions=functions,
            progress=context.progress,
        )
        if writer is not None:
            writer.finish(kept_file(context, made.digest), digest=made.digest)
        return made


def _declared(context: Context) -> Sequence[OnDemand]:
    return [function for model in context.project.models.values() for function in model.on_demand]


def _refuse_future(given: pa.Table, *, at: str, as_of: datetime) -> None:
    if at not in given.column_names or not pa.types.is_timestamp(given.column(at).type) or not given.num_rows:
        return  # refused with its reason where the rows are read
    last = pc.max(given.column(at)).as_py()
    if last is not None and last.tzinfo is not None and last > as_of:
        raise InvalidRequest(
            f"a row is about {last:%Y-%m-%d %H:%M:%S%z}, and it is {as_of:%Y-%m-%d %H:%M:%S%z} now: what is known then "
            "nobody knows yet",
            field=at,
            fix="ask for moments that have passed",
        )


def _folder(context: Context) -> Path:
    return context.config.home / "datasets"
