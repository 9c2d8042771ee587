"""A deployment in memory, with versions as the registry keeps them, for tests of releases and of the loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

import octavo as oc
from octavo.clock import ManualClock
from octavo.config import Config
from octavo.definitions.project import Project, collect
from octavo.definitions.triggers import Trigger
from octavo.monitoring.outcomes import SCHEMA as OUTCOME_SCHEMA
from octavo.monitoring.outcomes import TABLE as OUTCOMES
from octavo.monitoring.prediction_log import SCHEMA, TABLE
from octavo.operations import SYSTEM, Context
from octavo.registry.signing import Signature
from octavo.registry.versions import GateResult, ModelVersion
from octavo.release.lifecycle import rules_of
from octavo.release.releases import DeploymentState, Release
from tests.plants import memory_stores

START = datetime(2013, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL, DEPLOYMENT = "arrival_delay", "eta"

landings = oc.Source(
    "landings",
    event_time="landed_at",
    id=["flight"],
    schema={
        "flight": oc.String,
        "origin": oc.String,
        "distance": oc.Float64,
        "decided_at": oc.Timestamp,
        "landed_at": oc.Timestamp,
        "arr_delay": oc.Float64,
    },
)
origins = oc.FeatureView(
    "origins",
    entity=oc.Entity("origin", key="origin"),
    source=landings,
    features=[oc.mean("arr_delay", over="24h")],
)


def project_of(
    *, rollout: oc.Rollout | None = None, retrain: Sequence[Trigger] = (), every: str = "6h", **declared: Any
) -> Project:
    """A project with one deployment."""

    def arrival_delay(train: oc.Dataset) -> Any:
        raise AssertionError("nothing is trained here")

    features = [origins, oc.request("distance", oc.Float64)]
    label = oc.Label(landings, "arr_delay", at="decided_at")
    said = {"owner": "operations", "purpose": "stands are replanned", "tier": "low"}
    model = oc.model(features=features, label=label, metrics=["mae"], retrain=retrain, **said)(arrival_delay)  # type: ignore[arg-type]  # of tests
    monitor = oc.Monitor(every=every, window="24h")
    module = ModuleType("stage")
    vars(module)[DEPLOYMENT] = oc.Deployment(DEPLOYMENT, model=model, rollout=rollout, monitor=monitor, **declared)
    return collect(module, name="flights", code={})


@dataclass(frozen=True)
class Stage:
    """A context over memory stores, its clock in the test's hand."""

    context: Context
    clock: ManualClock

    def wait(self, span: timedelta) -> datetime:
        """Let time pass; the moment after that."""
        self.clock.advance(self.clock.now() + span)
        return self.clock.now()

    def add_version(self, number: int, *, passed: bool = True, run: str = "", trigger: str = "user") -> ModelVersion:
        """A version in the registry."""
        version = ModelVersion(
            model=MODEL,
            version=number,
            digest=f"sha256:{number:064x}",
            signature=Signature(key_id="", value=""),
            run=run or f"run-{number}",
            report="",
            created_at=self.clock.now(),
            trained_until=self.clock.now(),
            metrics={"mae": 1.0},
            gates=(GateResult(gate="at_most(mae, 20)", passed=passed, evidence="mae 21 over 100 rows"),),
            trigger=trigger,
        )
        with self.context.transaction() as tx:
            tx.add(version)
        return version

    def state(self) -> DeploymentState:
        with self.context.transaction() as tx:
            state = tx.get(DeploymentState, DEPLOYMENT)
        assert state is not None
        return state

    def releases(self) -> list[Release]:
        with self.context.transaction() as tx:
            return tx.find(Release)

    def predict(self, version: int, outputs: Sequence[float], *, arm: str = "live", latency_us: int = 1_000) -> None:
        """Predictions of a version, one a second from now on, in the table."""
        tables = self.context.stores.tables
        tables.ensure(TABLE, SCHEMA)
        rows = [
            {
                "id": f"{version}-{place}",
                "at": self.clock.now() + timedelta(seconds=place),
                "deployment": DEPLOYMENT,
                "model": MODEL,
                "version": version,
                "digest": "",
                "arm": arm,
                "entities": "{}",
                "request": "{}",
                "inputs": b"",
                "status": b"",
                "ages_s": b"",
                "output": output,
                "latency_us": latency_us,
                "caller": "",
                "trace": "",
            }
            for place, output in enumerate(outputs)
        ]
        done = tables.written(TABLE, "test")
        tables.append(TABLE, pa.Table.from_pylist(rows, schema=SCHEMA), writer="test", sequence=done + 1)

    def tell(self, values: Mapping[str, float]) -> None:
        """Outcomes of predictions, known a few minutes from now, in the table."""
        tables, now = self.context.stores.tables, self.clock.now()
        tables.ensure(OUTCOMES, OUTCOME_SCHEMA)
        rows = [
            {
                "id": prediction,
                "prediction": prediction,
                "value": value,
                "known_at": now + timedelta(minutes=10),
                "received_at": now,
                "sequence": place,
            }
            for place, (prediction, value) in enumerate(values.items())
        ]
        done = tables.written(OUTCOMES, "test")
        tables.append(OUTCOMES, pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA), writer="test", sequence=done + 1)


def set_stage(
    folder: Path,
    *,
    rollout: oc.Rollout | None = None,
    retrain: Sequence[Trigger] = (),
    every: str = "6h",
    **declared: Any,
) -> Stage:
    """A stage for one test; its deployment is applied."""
    clock = ManualClock(START)
    context = Context(
        config=Config(root=folder),
        clock=clock,
        stores=memory_stores(),
        project=project_of(rollout=rollout, retrain=retrain, every=every, **declared),
        principal=SYSTEM,
    )
    with context.transaction() as tx:
        rules = rules_of(context.project.deployment(DEPLOYMENT))
        tx.add(DeploymentState(deployment=DEPLOYMENT, model=MODEL, rules=rules))
    return Stage(context, clock)
