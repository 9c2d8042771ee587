"""What can be done with datasets."""

from dataclasses import dataclass
from datetime import datetime

from octavo.definitions.features import FeatureView
from octavo.definitions.types import seconds
from octavo.errors import InvalidDefinition, InvalidRequest, LimitExceeded, NotFound
from octavo.features.datasets.building import Rebuilt, build, decode_rows, kept_file, rebuild
from octavo.features.datasets.files import encoded_part
from octavo.features.datasets.recipes import Recipe, recipe_of_grid, recipe_of_labels, recipe_of_rows
from octavo.features.datasets.snapshots import DatasetSnapshot, find_dataset
from octavo.operations import Context, Operations

operations = Operations()

_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildDataset:
    """A dataset of a model's labelled cases, of given rows, or of regular moments.

    Attributes
    ----------
    model : str or None
        Its cases with all its inputs, where neither rows nor `every` are given; else the feature views of it are meant.
    views : tuple of str
        The feature views whose values are wanted.
    rows : bytes
        An Arrow stream. Each entity's key under its own name and, unless `every` is given, the moment of each row.
    at : str
        The column of `rows` with the moment.
    every : str or None
        The step of a grid, such as ``1h``, for the entities in `rows`, or for all that have an event.
    since, until : datetime or None
        A grid's first moment, and the one before which its last lies; `until` is now unless given.
    as_of : datetime or None
        For a model's cases: only what was known before it; now unless given.
    keep : bool
        Whether the platform keeps the rows, to be read part by part, until they are dropped.
    """

    model: str | None = None
    views: tuple[str, ...] = ()
    rows: bytes = b""
    at: str = "at"
    every: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDatasets:
    """The newest first."""

    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowDataset:
    """By its digest, or the beginning of it."""

    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildDataset:
    """By its digest, or the beginning of it; `keep` as in `BuildDataset`."""

    dataset: str
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDataset:
    """A part of kept rows; the first is 0."""

    dataset: str
    part: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DropDataset:
    """By its digest, or the beginning of it."""

    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """A dataset in a list; see `DatasetSnapshot`."""

    digest: str
    what: str
    rows: int
    columns: int
    as_of: datetime
    built_at: datetime
    built_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPart:
    """Some rows of a dataset.

    Attributes
    ----------
    rows : bytes
        An Arrow stream.
    parts : int
        How many parts there are.
    """

    rows: bytes
    parts: int


@operations.operation("datasets.build", request=BuildDataset, permission="datasets:write", changes=True, long=True)
def build_dataset(request: BuildDataset, context: Context) -> DatasetSnapshot:
    """Build a dataset with values as they were known, and put it on record."""
    now = context.clock.now()
    as_of = request.as_of or now
    if max(filter(None, (as_of, request.since, request.until))) > now:
        raise InvalidRequest("a dataset cannot be of a time that has not come yet", field="until")
    recipe = _recipe(request, context, as_of=as_of)
    given = decode_rows(request.rows) if request.rows else None
    return build(context, recipe, as_of=as_of, keep=request.keep, given=given)


@operations.operation("datasets.list", request=ListDatasets, permission="datasets:read")
def list_datasets(request: ListDatasets, context: Context) -> tuple[DatasetSummary, ...]:
    """List the datasets on record, newest first."""
    if not 1 <= request.limit <= _MOST:
        raise LimitExceeded(f"limit is {request.limit:,}", field="limit", fix=f"ask for 1 to {_MOST:,} at once")
    found = context.transacted.find(DatasetSnapshot, newest_first=True, limit=request.limit)
    return tuple(
        DatasetSummary(
            digest=snapshot.digest,
            what=snapshot.recipe.what,
            rows=snapshot.rows,
            columns=len(snapshot.columns),
            as_of=snapshot.as_of,
            built_at=snapshot.built_at,
            built_by=snapshot.built_by,
        )
        for snapshot in found
    )


@operations.operation("datasets.show", request=ShowDataset, permission="datasets:read")
def show_dataset(request: ShowDataset, context: Context) -> DatasetSnapshot:
    """Show what a dataset was made of, and how."""
    return find_dataset(context.transacted, request.dataset)


@operations.operation("datasets.rebuild", request=RebuildDataset, permission="datasets:write", changes=True, long=True)
def rebuild_dataset(request: RebuildDataset, context: Context) -> Rebuilt:
    """Make a dataset again from the versions on record, and say whether it is the same."""
    return rebuild(context, _found(request.dataset, context), keep=request.keep)


@operations.operation("datasets.read", request=ReadDataset, permission="datasets:read", long=True)
def read_dataset(request: ReadDataset, context: Context) -> DatasetPart:
    """Read a part of the rows of a dataset that the platform keeps."""
    snapshot = _found(request.dataset, context)
    path = kept_file(context, snapshot.digest)
    if not path.is_file():
        raise NotFound("kept rows of dataset", snapshot.digest)
    rows, parts = encoded_part(path, part=request.part)
    return DatasetPart(rows=rows, parts=parts)


@operations.operation("datasets.drop", request=DropDataset, permission="datasets:write", changes=True, long=True)
def drop_dataset(request: DropDataset, context: Context) -> DatasetSnapshot:
    """Remove the rows of a dataset that the platform keeps; its record stays, and it can be made again."""
    snapshot = _found(request.dataset, context)
    kept_file(context, snapshot.digest).unlink(missing_ok=True)
    return snapshot


def _found(digest: str, context: Context) -> DatasetSnapshot:
    with context.transaction() as tx:
        return find_dataset(tx, digest)


def _recipe(request: BuildDataset, context: Context, *, as_of: datetime) -> Recipe:
    if request.every is not None:
        if request.since is None:
            raise InvalidRequest("a grid needs its first moment", field="since")
        return recipe_of_grid(
            _views(request, context),
            every_s=_step(request.every),
            since=request.since,
            until=request.until or as_of,
            given=bool(request.rows),
        )
    if request.rows:
        return recipe_of_rows(_views(request, context), at=request.at)
    if request.model is None or request.views:
        raise InvalidRequest(
            "a dataset is of a model's labels, of given rows, or of a grid",
            field="model",
            fix="give a model, or rows with views, or a step with a first moment",
        )
    return recipe_of_labels(context.project.model(request.model), as_of=as_of)


def _views(request: BuildDataset, context: Context) -> tuple[FeatureView, ...]:
    of_model = context.project.model(request.model).views if request.model is not None else ()
    named = [context.project.view(name) for name in request.views]
    views = {view.name: view for view in (*of_model, *named)}
    if not views:
        raise InvalidRequest("no feature view is named", field="views", fix="name views, or a model that takes some")
    return tuple(views.values())


def _step(every: str) -> int:
    try:
        return seconds(every, what="every")
    except InvalidDefinition as error:
        raise InvalidRequest(error.message, field="every", fix="write it like 1h") from error
