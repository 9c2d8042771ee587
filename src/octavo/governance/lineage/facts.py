"""What lineage reads: records, definitions and the table of predictions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from octavo.errors import NotFound
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.features.events.payloads import table_of
from octavo.monitoring.prediction_log import TABLE
from octavo.operations import Context
from octavo.release.composites import CompositeState, CompositeVersion
from octavo.release.history import Service, services, traffic_of
from octavo.release.releases import DeploymentState
from octavo.stores.ports import R

_EVENTS = table_of("")
_COUNTS = """
SELECT deployment, model, version, count(*) AS n, min("at") AS first, max("at") AS last FROM predictions
WHERE ($deployment IS NULL OR deployment = $deployment) AND ($model IS NULL OR model = $model)
  AND ($version IS NULL OR version = $version) AND arm <> 'shadow'
GROUP BY deployment, model, version ORDER BY deployment, model, version
"""
_CHILDREN = "SELECT id, deployment FROM predictions WHERE parent = $id AND arm <> 'shadow' ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many predictions a version (or, with an empty model, a composite) answered in a deployment."""

    deployment: str
    model: str
    version: int
    count: int


class Facts:
    """Reads for one walk; what was read once is not read again.

    Parameters
    ----------
    context : Context
        Without a transaction of its own.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.project = context.project
        self._datasets: list[DatasetSnapshot] | None = None
        self._services: dict[str, tuple[Service, ...]] = {}

    def get(self, kind: type[R], key: str) -> R | None:
        """A record."""
        with self.context.transaction() as tx:
            return tx.get(kind, key)

    def find(self, kind: type[R], **equal: object) -> list[R]:
        """Records whose fields equal those given."""
        with self.context.transaction() as tx:
            return tx.find(kind, newest_first=False, limit=None, **equal)

    def datasets(self) -> list[DatasetSnapshot]:
        """All datasets on record."""
        if self._datasets is None:
            self._datasets = self.find(DatasetSnapshot)
        return self._datasets

    def deployments(self) -> list[str]:
        """All deployments that were ever in force, and those that are declared."""
        known = [state.deployment for state in self.find(DeploymentState)]
        return list(dict.fromkeys([*known, *self.project.deployments]))

    def served(self, deployment: str) -> tuple[Service, ...]:
        """Who served in a deployment."""
        if deployment not in self._services:
            with self.context.transaction() as tx:
                self._services[deployment] = services(traffic_of(tx, deployment))
        return self._services[deployment]

    def composite(self, name: str) -> CompositeVersion | None:
        """The version of a composite that is live; None if there is none."""
        state = self.get(CompositeState, name)
        return None if state is None else self.get(CompositeVersion, f"{name}/{state.live}")

    def counts(
        self, *, deployment: str | None = None, model: str | None = None, version: int | None = None
    ) -> list[Counted]:
        """How many predictions there are."""
        asked: Mapping[str, object] = {"deployment": deployment, "model": model, "version": version}
        return [
            Counted(deployment=row["deployment"], model=row["model"], version=row["version"], count=row["n"])
            for row in self._rows(_COUNTS, asked)
        ]

    def nodes_of(self, prediction: str) -> list[str]:
        """The predictions of the nodes of a composite's prediction."""
        return [row["id"] for row in self._rows(_CHILDREN, {"id": prediction})]

    def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        tables = self.context.stores.tables
        try:
            found: list[dict[str, Any]] = tables.query(sql, tables={TABLE: TABLE}, parameters=parameters).to_pylist()
        except NotFound:
            return []
        return found


def source_in(table: str) -> str:
    """The source whose events a table holds; empty for another table."""
    return table.removeprefix(_EVENTS) if table.startswith(_EVENTS) else ""


def tables_read(snapshot: DatasetSnapshot) -> Iterator[tuple[str, int]]:
    """The sources that a dataset was made from, with the versions of their tables."""
    for table, version in snapshot.tables.items():
        if source := source_in(table):
            yield source, version


def views_in(snapshot: DatasetSnapshot) -> dict[str, str]:
    """The views that a dataset was made by, with the source of each."""
    return {query.view: source_in(query.table) for query in snapshot.recipe.views}
