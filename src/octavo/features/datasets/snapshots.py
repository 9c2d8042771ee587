"""Datasets on record, so that each is found by its content and can be made again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from octavo.definitions.project import Project
from octavo.errors import NotFound
from octavo.features.datasets.making import DatasetColumn, MadeDataset
from octavo.features.datasets.recipes import Recipe
from octavo.operations import Context
from octavo.stores.ports import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSnapshot:
    """The record of a dataset. Of those with the same content the first is kept.

    Attributes
    ----------
    digest : str
        Of the content (see `ContentDigest`): ``sha256:`` and 64 hex digits.
    tables : mapping of table to version
        What was read, kept for ever; -1 for one that did not exist.
    given : str
        The artifact with the rows that somebody gave, as an Arrow stream; empty where nobody gave any.
    definitions : mapping of name to text
        Of the models and feature views that it was made by, as canonical JSON.
    as_of : datetime
        Nothing that became known later is in it.
    built_by : str
        Who asked for it, or the run that it was made for.
    """

    kind: ClassVar[str] = "dataset"

    digest: str
    rows: int
    columns: tuple[DatasetColumn, ...]
    tables: Mapping[str, int]
    recipe: Recipe
    given: str = ""
    definitions: Mapping[str, str] = field(default_factory=dict)
    as_of: datetime
    built_at: datetime
    built_by: str

    @property
    def key(self) -> str:
        return self.digest


def record_dataset(
    context: Context, made: MadeDataset, *, as_of: datetime, built_by: str, given: str = ""
) -> DatasetSnapshot:
    """Put a dataset on record, if none with its content is there.

    Returns
    -------
    DatasetSnapshot
        The one that is on record.
    """
    snapshot = DatasetSnapshot(
        digest=made.digest,
        rows=made.rows,
        columns=made.columns,
        tables=made.tables,
        recipe=made.recipe,
        given=given,
        definitions=_definitions(context.project, made.recipe),
        as_of=as_of,
        built_at=context.clock.now(),
        built_by=built_by,
    )
    with context.transaction() as tx:
        known = tx.get(DatasetSnapshot, made.digest)
        if known is not None:
            return known
        tx.add(snapshot)
    return snapshot


def find_dataset(tx: Transaction, digest: str) -> DatasetSnapshot:
    """The dataset of a digest, or of as much of its beginning as no other has.

    Raises
    ------
    NotFound
        If there is none, or several begin so.
    """
    exact = tx.get(DatasetSnapshot, digest)
    if exact is not None:
        return exact
    known = tx.find(DatasetSnapshot)
    begun = digest if digest.startswith("sha256:") else f"sha256:{digest}"
    found = [snapshot for snapshot in known if snapshot.digest.startswith(begun)]
    if len(found) != 1:
        raise NotFound("dataset", digest, [snapshot.digest for snapshot in found or known])
    return found[0]


def _definitions(project: Project, recipe: Recipe) -> dict[str, str]:
    named = [f"view/{query.view}" for query in recipe.views]
    if recipe.inputs is not None:
        named.append(f"model/{recipe.inputs.model}")
    documents = project.documents()
    return {name: documents[name].decode() for name in named if name in documents}
