"""A whole predictor in this process, over stores in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from tests.serving.asgi import Caller
from tests.serving.bundles import publish_bundle
from tests.serving.projects import DEPLOYMENT, ServingProject, arm, make_project, manifest

import octavo as oc
from octavo.access import project_access
from octavo.clock import ManualClock, to_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import LookupPlan
from octavo.definitions.project import collect
from octavo.errors import Unavailable
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.pump import Pump
from octavo.monitoring.prediction_log import rows_of
from octavo.serving.app import PredictorApp
from octavo.serving.composites import CompositePredictor
from octavo.serving.fellows import Worker
from octavo.serving.grpc.app import GrpcApp
from octavo.serving.later.holding import HoldingLog
from octavo.serving.later.opening import open_later
from octavo.serving.later.work import LaterWork, Records
from octavo.serving.lookup import FeatureLookup
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.predict import Predictor
from octavo.serving.recorder import TOPIC, Recorder
from octavo.serving.records import PredictionRecord
from octavo.serving.watcher import Watcher
from octavo.stores.inline import InlineReader
from octavo.stores.memory import (
    MemoryArtifacts,
    MemoryEventStream,
    MemoryMetadata,
    MemoryNotifier,
    MemoryOnlineStore,
    MemoryTables,
)
from octavo.stores.ports import OnlineStore, Stores

NOW = datetime(2013, 7, 1, 12, 0, tzinfo=UTC)
PATH = f"/predict/{DEPLOYMENT}"

flights = oc.Source(
    "flights", event_time="at", schema={"at": oc.Timestamp, "origin": oc.String, "dep_delay": oc.Float64}
)
origins = FeatureView(
    "origin_delays",
    entity=oc.Entity("origin", key="origin"),
    source=flights,
    features=[oc.mean("dep_delay", over="1h"), oc.count(over="1h")],
)


class FullDisk(MemoryEventStream):
    """A log on a disk that may be full."""

    is_full = False

    def publish(self, topic: str, payloads: Sequence[bytes]) -> int:
        if self.is_full:
            raise Unavailable("the disk is full")
        return super().publish(topic, payloads)


class Unplugged(MemoryOnlineStore):
    """An online store that may be out of reach."""

    is_gone = False

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if self.is_gone:
            raise Unavailable("the store is out of reach")
        return super().read(keys)


class Broken(MemoryOnlineStore):
    """An online store with a mistake in it."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        raise ZeroDivisionError("a secret of the inside")


def record_of(row: dict[str, Any]) -> PredictionRecord:
    """A row of the table as a record."""
    told = {name: msgspec.json.decode(row[name]) for name in ("entities", "request")}
    same = {name: row[name] for name in PredictionRecord.__struct_fields__ if name in row}
    return PredictionRecord(**{**same, **told, "at_us": to_micros(row["at"])})


@dataclass
class Bench:
    """A predictor and all that it stands on."""

    project: ServingProject
    online: OnlineStore = field(default_factory=Unplugged)
    log: FullDisk = field(default_factory=FullDisk)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    metrics: PredictorMetrics = field(default_factory=PredictorMetrics)
    heads_for_s: float = 0.0

    def __post_init__(self) -> None:
        config = self.project.config
        self.watcher = Watcher(
            config,
            self.project.artifacts,
            clock=self.clock,
            lookup_of=lambda plan: FeatureLookup.of_plan(InlineReader(self.online), plan),
        )
        recorder = Recorder(HoldingLog(self.log), self.metrics)
        predictor = Predictor(clock=self.clock, recorder=recorder, metrics=self.metrics)
        self.app = PredictorApp(
            config.predictor,
            access=project_access(config.home),
            watcher=self.watcher,
            predictor=predictor,
            composites=CompositePredictor(predictor, clock=self.clock, recorder=recorder),
            metrics=self.metrics,
            later=self.work,
            heads_for_s=self.heads_for_s,
        )
        self.grpc = GrpcApp(self.app, max_bytes=config.predictor.max_body_bytes)
        self.caller = Caller(app=self.app, token=self.project.token, grpc=self.grpc)

    @cached_property
    def work(self) -> LaterWork:
        """What keeps and answers asynchronous predictions, one whenever `work_off` is called."""
        records = Records(publish=self.log.publish, kept=None, log_of=lambda number: self.log)
        return open_later(self.project.config, records, worker=Worker(), metrics=self.metrics)

    def work_off(self) -> bool:
        """Answer the asynchronous prediction that has waited longest; False if none waits."""
        assert self.app.later is not None
        return asyncio.run(self.work.work_off(self.app.later.answering))

    @property
    def records(self) -> list[PredictionRecord]:
        """One per prediction, as they come into the table."""
        payloads = self.log.read(TOPIC, start=0)
        return [record_of(row) for row in rows_of(payloads).to_pylist()] if payloads else []

    def publish(self, *arms: Any, **changes: Any) -> None:
        """Publish a manifest and have it applied."""
        self.project.publish(manifest(*arms, **changes))
        self.watcher.look()

    def predict(self, *rows: dict[str, Any], **more: Any) -> Any:
        """The answer to rows, which must be a good one."""
        reply = self.caller.post(PATH, {"rows": rows}, **more)
        assert reply.status == 200, reply.body
        return reply.json

    def delays(self, *delays: float, origin: str = "JFK") -> None:
        """Let flights depart with delays, a second ago."""
        module = ModuleType("flights")
        vars(module).update(origins=origins, flights=flights)
        stores = Stores(
            metadata=MemoryMetadata(),
            tables=MemoryTables(),
            online=self.online,
            stream=MemoryEventStream(),
            artifacts=MemoryArtifacts(),
            notifier=MemoryNotifier(),
        )
        at = datetime.fromtimestamp(self.clock.now().timestamp() - 1, UTC).isoformat()
        rows = [{"at": at, "origin": origin, "dep_delay": delay} for delay in delays]
        ingest_rows(rows, flights, stream=stores.stream, clock=self.clock)
        Pump(stores, collect(module, name="flights", code={}), self.clock).apply("flights")


def remembering(folder: Path, plan: LookupPlan) -> Bench:
    """A predictor that remembers heads, and serves one version."""
    bench = make_bench(folder, heads_for_s=60.0)
    bench.delays(3.0, 5.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=plan)))
    return bench


def made_to_tell(monkeypatch: pytest.MonkeyPatch, shortcut: type[Any], method: str = "take") -> list[bool]:
    """Of each request that a shortcut is shown from now on, whether it took it."""
    found: list[bool] = []
    take = getattr(shortcut, method)

    def told(*shown: Any) -> bool:
        found.append(take(*shown))
        return found[-1]

    monkeypatch.setattr(shortcut, method, told)
    return found


def make_bench(folder: Path, **parts: Any) -> Bench:
    """A predictor that serves nothing yet."""
    return Bench(make_project(folder, artifacts=MemoryArtifacts()), **parts)
