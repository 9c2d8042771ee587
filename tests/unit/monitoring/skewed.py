"""A small airport whose predictor really answers, so that what it served can be audited; all in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.serving.bundles import MODEL, publish_bundle
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import DEPLOYMENT, arm

from octavo.config import AuditSettings
from octavo.definitions.plans import plan_lookup
from octavo.definitions.project import Project, load_project
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.materialize import materialize, pending_views
from octavo.features.online.pump import Pump
from octavo.monitoring.audits import FeaturesAudit
from octavo.monitoring.incidents import Incident
from octavo.monitoring.prediction_log import ship_predictions
from octavo.monitoring.skew import audit_deployment
from octavo.operations import SYSTEM, Context
from octavo.registry.signing import Signature
from octavo.registry.versions import ModelVersion
from octavo.release.releases import DeploymentState
from octavo.stores.memory import MemoryEventStream, MemoryMetadata, MemoryNotifier, MemoryTables
from octavo.stores.ports import Stores

MINUTE = timedelta(minutes=1)
MEAN, COUNT, LATEST, DOUBLE = (
    "origin_delays__dep_delay_mean_1h",
    "origin_delays__events_count_1h",
    "origin_delays__dep_delay_latest",
    "double",
)
MODULE = '''
"""Delays of flights."""

import octavo as oc

flights = oc.Source(
    "flights",
    event_time="departed",
    available_at="known",
    id=["number"],
    schema={
        "number": oc.Int64,
        "departed": oc.Timestamp,
        "known": oc.Timestamp,
        "origin": oc.String,
        "distance": oc.Float64,
        "dep_delay": oc.Float64,
    },
)
origins = oc.FeatureView(
    "origin_delays",
    entity=oc.Entity("origin", key="origin"),
    source=flights,
    features=[oc.mean("dep_delay", over="1h"), oc.count(over="1h"), oc.latest("dep_delay", ttl="30m")],
)


@oc.on_demand
def double(distance):
    return distance * 2.0


@oc.model(
    features=[origins, double, oc.request("distance", oc.Float64)],
    label=oc.Label(flights, "dep_delay", at="departed"),
    metrics=["mae"],
)
def arrival_delay(train):
    raise AssertionError("nothing is trained here")


eta = oc.Deployment("eta", model=arrival_delay)
'''


@dataclass
class Airport:
    """A project with a served version, and all that carries its events and predictions on."""

    folder: Path
    bench: Bench
    stores: Stores
    context: Context
    numbers: int = 0
    versions: int = 0

    @property
    def now(self) -> datetime:
        return self.bench.clock.now()

    def wait(self, span: timedelta) -> None:
        self.bench.clock.advance(self.now + span)

    def declare(self, module: str) -> None:
        """Change the project's module, and have online features built as it says."""
        project = declared(self.folder, module)
        self.context = replace(self.context, project=project)
        self.carry()
        materialize(self.stores, pending_views(self.stores.online, project), clock=self.bench.clock)

    def serve(self, module: str = MODULE) -> None:
        """Register a version of a module, and have it answer."""
        self.versions += 1
        plan = plan_lookup(declared(self.folder, module).model(MODEL))
        digest = publish_bundle(self.stores.artifacts, plan=plan, code=module)
        with self.context.transaction() as tx:
            tx.add(version(self.versions, digest, at=self.now))
            tx.put(DeploymentState(deployment=DEPLOYMENT, model=MODEL, live=self.versions))
        self.bench.publish(arm(digest, version=self.versions), sequence=self.versions)

    def depart(self, *delays: float, known: timedelta = -MINUTE, origin: str = "JFK") -> None:
        """Send flights that became known a while ago, and departed a minute before that."""
        rows: list[Mapping[str, Any]] = []
        for delay in delays:
            self.numbers += 1
            at = self.now + known
            times = {"departed": (at - MINUTE).isoformat(), "known": at.isoformat()}
            rows.append({"number": self.numbers, "origin": origin, "distance": 1.0, "dep_delay": delay, **times})
        ingest_rows(rows, self.context.project.source("flights"), stream=self.stores.stream, clock=self.bench.clock)

    def apply(self) -> None:
        pump = Pump(self.stores, self.context.project, self.bench.clock)
        while pump.apply("flights"):
            pass

    def carry(self) -> None:
        """Bring everything into the online features and the tables."""
        self.apply()
        pump = Pump(self.stores, self.context.project, self.bench.clock)
        while pump.ship("flights"):
            pass
        while ship_predictions(self.bench.log, self.stores.tables):
            pass

    def predict(self, rows: int = 1, *, origin: str = "JFK") -> None:
        self.bench.predict(*[{"origin": origin, "distance": 100.0}] * rows)

    def audit(self, *, since: datetime | None = None, limit: int = 1_000) -> FeaturesAudit:
        """Audit after a minute."""
        self.wait(MINUTE)
        self.carry()
        return audit_deployment(self.context, DEPLOYMENT, at=self.now, since=since, limit=limit)

    def incidents(self) -> list[Incident]:
        with self.context.transaction() as tx:
            return tx.find(Incident)


def open_airport(folder: Path, module: str = MODULE) -> Airport:
    """An airport with a version that answers, before its first flight."""
    bench = make_bench(folder)
    stores = Stores(
        metadata=MemoryMetadata(),
        tables=MemoryTables(),
        online=bench.online,
        stream=MemoryEventStream(),
        artifacts=bench.project.artifacts,
        notifier=MemoryNotifier(),
    )
    context = Context(
        config=replace(bench.project.config, audit=AuditSettings(lag="10m")),
        clock=bench.clock,
        stores=stores,
        project=declared(folder, module),
        principal=SYSTEM,
    )
    airport = Airport(folder, bench, stores, context)
    airport.apply()
    airport.serve(module)
    return airport


def declared(folder: Path, module: str) -> Project:
    (folder / "project.py").write_text(module, encoding="utf-8")
    return load_project(folder / "project.py", name="flights")


def version(number: int, digest: str, *, at: datetime) -> ModelVersion:
    return ModelVersion(
        model=MODEL,
        version=number,
        digest=digest,
        signature=Signature(key_id="", value=""),
        run=f"run-{number}",
        report="",
        created_at=at,
        trained_until=at,
        metrics={},
    )


def counts(audit: FeaturesAudit) -> dict[str, dict[str, int]]:
    """Numbers by reason of each feature."""
    return {feature.name: dict(feature.counts) for feature in audit.features}
