"""Makes datasets from recipes: rows with values as they were known at their moments, from pinned versions of tables."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from octavo.definitions.features import OnDemand
from octavo.errors import InvalidRequest, NotFound
from octavo.features.datasets.content import ContentDigest, in_order, plain_rows
from octavo.features.datasets.recipes import LABEL, Recipe, SpineQuery
from octavo.features.inputs import InputMatrix, matrix_of, with_inputs
from octavo.features.offline.historical import check_spine, known_values, with_defaults
from octavo.stores.ports import Tables

SLICE_ROWS = 1_000_000
"""How many rows are made and written before the next: what bounds the memory for the values of a dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetColumn:
    """A column of a dataset; `type` as Arrow names it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeDataset:
    """What came of a recipe.

    Attributes
    ----------
    digest : str
        ``sha256:`` and 64 hex digits, of the columns and rows; equal content has an equal digest.
    tables : mapping of table to the version that was read
        -1 for one that did not exist.
    """

    digest: str
    rows: int
    columns: tuple[DatasetColumn, ...]
    tables: Mapping[str, int]
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DatasetSlice:
    """Rows of a dataset next to each other; with the model's inputs where it is a model's."""

    rows: pa.Table
    matrix: InputMatrix | None = None


def pin_tables(tables: Tables, recipe: Recipe) -> dict[str, int]:
    """Keep all tables that a recipe reads as they are now, and say in which versions."""
    return {table: tables.pin(table) for table in recipe.tables}


def make_dataset(
    tables: Tables,
    recipe: Recipe,
    *,
    versions: Mapping[str, int],
    take: Callable[[DatasetSlice], None],
    given: pa.Table | None = None,
    functions: tuple[OnDemand, ...] = (),
    progress: Callable[[float, str], None] = lambda fraction, message: None,
) -> MadeDataset:
    """Make a dataset, slice by slice.

    Parameters
    ----------
    versions : mapping of table to version
        Of all tables that the recipe reads, pinned.
    take : callable
        Is given each slice, in order; at least one, which may have no rows.
    given : pa.Table or None
        The rows that the recipe's spine takes.
    functions : tuple of OnDemand
        Those of the recipe.

    Raises
    ------
    InvalidRequest
        If the given rows do not fit.
    NotFound
        If a table that the rows come from does not exist.
    PredictionFailed
        If an on-demand feature fails.
    """
    progress(0.0, "finding the rows")
    spine = _spine(tables, recipe, given=given, versions=versions)
    content: ContentDigest | None = None
    schema = pa.schema([])
    for done, piece in _slices(tables, recipe, spine, versions=versions, functions=functions):
        schema = piece.rows.schema
        content = content or ContentDigest(schema)
        content.update(piece.rows)
        take(piece)
        progress(done, f"{round(done * len(spine)):,} of {len(spine):,} rows")
    assert content is not None, "there is a slice, if only an empty one"
    columns = tuple(DatasetColumn(name=field.name, type=str(field.type)) for field in schema)
    return MadeDataset(digest=content.digest(), rows=len(spine), columns=columns, tables=versions, recipe=recipe)


def _spine(tables: Tables, recipe: Recipe, *, given: pa.Table | None, versions: Mapping[str, int]) -> pa.Table:
    query = recipe.spine
    if query.takes_rows == (given is None):
        raise InvalidRequest(f"{recipe.what}: rows are " + ("needed" if given is None else "of no use"), field="rows")
    if not query.sql:
        assert given is not None, "checked above"
        check_spine(recipe.views, spine=given, at=query.at)
        return in_order(plain_rows(given), at=query.at)
    return plain_rows(_found(tables, query, given=given, versions=versions))


def _found(tables: Tables, query: SpineQuery, *, given: pa.Table | None, versions: Mapping[str, int]) -> pa.Table:
    for table in query.tables.values():
        if versions[table] < 0:
            raise NotFound("table", table)
    return tables.query(
        query.sql,
        tables=query.tables,
        frames={query.frame: given} if query.frame and given is not None else {},
        parameters=query.parameters,
        heavy=True,
        versions=versions,
    )


def _slices(
    tables: Tables,
    recipe: Recipe,
    spine: pa.Table,
    *,
    versions: Mapping[str, int],
    functions: tuple[OnDemand, ...],
) -> Iterator[tuple[float, DatasetSlice]]:
    """Slices, each with the part of the work that is done after it."""
    for start in range(0, max(len(spine), 1), SLICE_ROWS):
        rows = spine.slice(start, SLICE_ROWS)
        known = known_values(tables, recipe.views, spine=rows, at=recipe.spine.at, versions=versions)
        done = min((start + SLICE_ROWS) / max(len(spine), 1), 1.0)
        if recipe.inputs is None:
            yield done, DatasetSlice(rows=with_defaults(known, recipe.views))
        else:
            matrix = matrix_of(known, recipe.inputs, functions)
            yield done, DatasetSlice(rows=with_inputs(known, recipe.inputs, matrix, label=LABEL), matrix=matrix)
