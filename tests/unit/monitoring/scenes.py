"""A deployment with a hand-made version, its predictions and their outcomes, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tests.serving.bundles import bundle_files, pack

import octavo as oc
from octavo.clock import ManualClock
from octavo.config import Config
from octavo.definitions.features import FeatureView
from octavo.definitions.models import Task
from octavo.definitions.plans import plan_lookup
from octavo.definitions.project import Project, collect
from octavo.features.values import FeatureStatus
from octavo.identifiers import uuid7
from octavo.monitoring.looks import Look, look
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes, ship_outcomes
from octavo.monitoring.prediction_log import ship_predictions
from octavo.operations import SYSTEM, Context
from octavo.registry.bundles import PROVENANCE, REPORT
from octavo.registry.signing import Signature
from octavo.registry.versions import ModelVersion
from octavo.release.releases import DeploymentState
from octavo.serving.recorder import TOPIC
from octavo.serving.records import PredictionRecord
from octavo.stores.memory import (
    MemoryArtifacts,
    MemoryEventStream,
    MemoryMetadata,
    MemoryNotifier,
    MemoryOnlineStore,
    MemoryTables,
)
from octavo.stores.ports import Stores
from octavo.training.evaluation import evaluate
from octavo.training.profiling import calibration, profile
from octavo.training.reports import DataWindow, Report, encode_report

Floats = npt.NDArray[np.float64]
START = datetime(2013, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVERY_S, WINDOW_S = 3_600, 86_400
TRAINING_ROWS, HOLDOUT_ROWS = 20_000, 4_000
NOISE = 2.0
"""Standard deviation of the label around the model's answer, in training."""

flights = oc.Source(
    "flights",
    event_time="landed",
    id=["flight"],
    schema={
        "flight": oc.String,
        "origin": oc.String,
        "distance": oc.Float64,
        "decided": oc.Timestamp,
        "landed": oc.Timestamp,
        "delay": oc.Float64,
    },
)
airports = FeatureView(
    "airports",
    entity=oc.Entity("origin", key="origin"),
    source=flights,
    features=[oc.mean("delay", over="1h"), oc.count(over="1h"), oc.latest("delay", ttl="2h")],
)
MEAN, COUNT, LATEST = "airports__delay_mean_1h", "airports__events_count_1h", "airports__delay_latest"
INPUTS = (MEAN, COUNT, LATEST, "distance")
WEIGHTS = (1.0, 0.0, 0.5, 0.01)
STALE, MISSING, DEFAULT = (
    bytes([status]) * len(INPUTS) for status in (FeatureStatus.STALE, FeatureStatus.MISSING, FeatureStatus.DEFAULT)
)
"""Statuses of a whole row."""

IMPORTANCE = {MEAN: 0.6, COUNT: 0.0, LATEST: 0.3, "distance": 0.1}


@oc.model(
    features=[airports, oc.request("distance", oc.Float64)],
    label=oc.Label(flights, "delay", at="decided"),
    metrics=["mae", "rmse"],
)
def arrival_delay(train: oc.Dataset) -> Any:
    """Minutes."""


@oc.model(
    features=[airports, oc.request("distance", oc.Float64)],
    label=oc.Label(flights, "delay", at="decided", above=10),
    metrics=["auc"],
)
def is_late(train: oc.Dataset) -> Any:
    """Probability."""


MONITOR = oc.Monitor(every="1h", window="24h", min_rows=200)
ETA = oc.Deployment("eta", model=arrival_delay, monitor=MONITOR)
LATE = oc.Deployment("late", model=is_late, monitor=MONITOR)


def project() -> Project:
    module = ModuleType("plant")
    vars(module).update(eta=ETA, late=LATE)
    return collect(module, name="plant", code={})


def draw(random: np.random.Generator, rows: int, *, mean: float = 10.0) -> Floats:
    """Rows of inputs as in training; the second is a count, the third is missing in a fifth of them."""
    matrix = np.empty((rows, len(INPUTS)))
    matrix[:, 0] = random.normal(mean, 5, rows)
    matrix[:, 1] = random.poisson(4, rows)
    matrix[:, 2] = np.where(random.random(rows) < 0.2, np.nan, random.normal(5, 3, rows))
    matrix[:, 3] = random.choice([100.0, 500.0, 900.0], rows)
    return matrix.astype(np.float32).astype(np.float64)


def answer(matrix: Floats, *, bias: float = 0.0) -> Floats:
    """What the hand-made model answers."""
    return np.nan_to_num(matrix, nan=0.0) @ np.array(WEIGHTS) + bias


@lru_cache(maxsize=8)
def make_report(
    *, model: str = "arrival_delay", above: float | None = None, seed: int = 0, bias: float = 0.0
) -> Report:
    """The report that a training on drawn rows would write."""
    random = np.random.default_rng(seed)
    train, holdout = draw(random, TRAINING_ROWS), draw(random, HOLDOUT_ROWS)
    predictions = answer(holdout, bias=bias)
    raw = answer(holdout) + random.normal(0, NOISE, len(holdout))
    labels = raw if above is None else (raw > above).astype(float)
    task, metrics = (Task.REGRESSION, ("mae", "rmse")) if above is None else (Task.BINARY, ("auc",))
    days = timedelta(days=60)
    return Report(
        model=model,
        task=task,
        metrics=evaluate(labels, predictions, metrics=metrics, task=task),
        baselines={},
        importance=IMPORTANCE,
        profiles={name: profile(train[:, place]) for place, name in enumerate(INPUTS)},
        prediction=profile(predictions),
        label=profile(labels),
        curve=calibration(labels, predictions, task=task),
        training=DataWindow(rows=TRAINING_ROWS, start=START - days, end=START - days / 4),
        holdout=DataWindow(rows=HOLDOUT_ROWS, start=START - days / 4, end=START),
        as_of=START,
    )


@lru_cache(maxsize=8)
def _model_files(model: str, bias: float) -> dict[str, bytes]:
    return bundle_files(plan=plan_lookup(project().model(model)), weights=list(WEIGHTS), bias=bias)


@dataclass
class Scene:
    """Stores with deployments, and what was predicted in them.

    Attributes
    ----------
    answers : dict of prediction to float
        As they were given.
    """

    home: Path = field(default_factory=Path)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    answers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = MemoryEventStream()
        self.notifier = MemoryNotifier()
        self.artifacts = MemoryArtifacts()
        stores = Stores(
            metadata=MemoryMetadata(),
            tables=MemoryTables(),
            online=MemoryOnlineStore(),
            stream=MemoryEventStream(),
            artifacts=self.artifacts,
            notifier=self.notifier,
        )
        self.context = Context(
            config=Config(root=self.home), clock=self.clock, stores=stores, project=project(), principal=SYSTEM
        )

    @property
    def stores(self) -> Stores:
        return self.context.stores

    def go(self, delta: timedelta) -> datetime:
        """Let time pass."""
        self.clock.advance(self.clock.now() + delta)
        return self.clock.now()

    def register(
        self,
        version: int = 1,
        *,
        model: str = "arrival_delay",
        report: Report | None = None,
        bias: float = 0.0,
        files: Mapping[str, bytes] | None = None,
    ) -> ModelVersion:
        """Register a version with a bundle; its model adds `bias` to the true answer, unless other files are given."""
        definition = self.context.project.model(model)
        report = report or make_report(model=model, above=definition.label.above, bias=bias)
        told = {REPORT: encode_report(report), PROVENANCE: msgspec.json.encode({"version": version})}
        digest = ""
        for data in pack({**(files or _model_files(model, bias)), **told}).values():
            digest = self.artifacts.put(data)
        made = ModelVersion(
            model=model,
            version=version,
            digest=digest,
            signature=Signature(key_id="test", value=""),
            run=f"run-{version}",
            report=self.artifacts.put(encode_report(report)),
            created_at=self.clock.now(),
            trained_until=report.as_of,
            metrics={name: interval.value for name, interval in report.metrics.items()},
        )
        with self.stores.metadata.transaction() as tx:
            tx.add(made)
        return made

    def release(self, version: ModelVersion, *, deployment: str = "eta") -> ModelVersion:
        """Make a version live."""
        state = DeploymentState(deployment=deployment, model=version.model, live=version.version)
        with self.stores.metadata.transaction() as tx:
            tx.put(state)
        return version

    def live(
        self, version: int = 1, *, model: str = "arrival_delay", deployment: str = "eta", **how: Any
    ) -> ModelVersion:
        """Register a version and make it live."""
        return self.release(self.register(version, model=model, **how), deployment=deployment)

    def predict(
        self,
        version: ModelVersion,
        matrix: Floats,
        *,
        over: timedelta = HOUR,
        outputs: Floats | None = None,
        **changes: Any,
    ) -> list[str]:
        """Answer requests spread over the time that passes meanwhile, and ship their records; returns their ids.

        The records are those of the live arm of ``eta``, but for `changes`.
        """
        records = self.records(version, matrix, over=over, outputs=outputs)
        records = [msgspec.structs.replace(record, **changes) for record in records]
        self.publish(records)
        self.go(over)
        self.ship()
        return [record.id for record in records]

    def publish(self, records: Sequence[PredictionRecord]) -> None:
        """Write records to the predictor's log."""
        self.answers |= {record.id: record.output for record in records if record.arm != "shadow"}
        self.log.publish(TOPIC, [msgspec.msgpack.encode(record) for record in records])

    def ship(self) -> None:
        """Bring the predictor's log into the table."""
        while ship_predictions(self.log, self.stores.tables):
            pass

    def records(
        self, version: ModelVersion, matrix: Floats, *, over: timedelta = HOUR, outputs: Floats | None = None
    ) -> list[PredictionRecord]:
        """Records of answers to requests spread over a stretch of time from now on."""
        span_us = over // timedelta(microseconds=1)
        times = [self.clock.now_us() + place * span_us // len(matrix) for place in range(len(matrix))]
        outputs = answer(matrix) if outputs is None else outputs
        return [
            PredictionRecord(
                id=uuid7(times[place]),
                at_us=times[place],
                deployment="eta",
                model=version.model,
                version=version.version,
                digest=version.digest,
                arm="live",
                entities={"origin": ("JFK", "EWR", "LGA")[place % 3]},
                request={"distance": float(row[3])},
                inputs=row.astype("<f4").tobytes(),
                status=np.where(np.isnan(row), FeatureStatus.MISSING, 0).astype(np.uint8).tobytes(),
                ages_s=np.full(len(row), 60, "<f4").tobytes(),
                output=float(outputs[place]),
                latency_us=1_000 + place,
                caller="test",
                trace="",
            )
            for place, row in enumerate(matrix)
        ]

    def tell(self, values: dict[str, float], *, known_at: datetime | None = None) -> None:
        """Send outcomes by prediction, and ship them; a second passes."""
        rows = [OutcomeRow(prediction=p, value=value, known_at=known_at) for p, value in values.items()]
        record_outcomes(rows, stream=self.stores.stream, clock=self.clock)
        self.go(timedelta(seconds=1))
        while ship_outcomes(self.stores.stream, self.stores.tables):
            pass

    def mature(self, predictions: Sequence[str], *, noise: float = NOISE) -> None:
        """Send what came of predictions: what was answered, and noise around it."""
        self.tell({p: self.answers[p] + float(self.random.normal(0, noise)) for p in predictions})

    def look(self, deployment: str = "eta", *, at: datetime | None = None) -> Look:
        """Look now, or as of another moment."""
        return look(self.context, self.context.project.deployment(deployment), at=at or self.clock.now())
