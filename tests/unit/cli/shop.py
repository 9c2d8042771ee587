"""A small project in a folder, with real stores, whose model trains in a moment."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from octavo.cli.app import app
from octavo.config import config_here
from octavo.monitoring.opened import open_model
from octavo.monitoring.prediction_log import ship_predictions
from octavo.operations import Context
from octavo.processes import announce
from octavo.registry.versions import ModelVersion
from octavo.serving.recorder import TOPIC
from octavo.serving.records import PredictionRecord
from octavo.stores.log import LocalLog
from octavo.wiring import open_context

NOW = datetime(2030, 1, 21, tzinfo=UTC)
_MS = f"{int(NOW.timestamp() * 1000):012x}"
PREDICTION = f"{_MS[:8]}-{_MS[8:]}-7000-8000-000000000000"
ROW = {"shop": "north", "items": 3.0}
INPUTS = np.array([12.5, np.nan, 3.0], "<f4")

SETTINGS = """
[project]
name = "shops"

[clock]
mode = "replay"
start = "2030-01-21T00:00:00Z"

[control]
port = 0

[predictor]
port = 0
grpc_port = 0
"""

MODULE = '''
"""What is spent in shops."""

import octavo as oc

visits = oc.Source(
    "visits",
    event_time="left",
    id=["number"],
    schema={"number": oc.Int64, "entered": oc.Timestamp, "left": oc.Timestamp, "shop": oc.String,
            "items": oc.Float64, "spent": oc.Float64},
)
daily = oc.SQLSource(
    "daily", inputs=[visits], id=["shop", "day"], event_time="day",
    sql="SELECT shop, date_trunc('day', visits.left) AS day, sum(spent) AS spent FROM visits GROUP BY ALL",
    schema={"shop": oc.String, "day": oc.Timestamp, "spent": oc.Float64},
)
takings = oc.FeatureView(
    "takings", entity=oc.Entity("shop", key="shop"), source=visits,
    features=[oc.mean("spent", over="24h"), oc.latest("spent", ttl="2h")],
)


@oc.model(features=[takings, oc.request("items", oc.Float64)], label=oc.Label(visits, "spent", at="entered"),
          metrics=["mae"], gates=[oc.better_than_baseline("mae")], holdout="5d", owner="the shopkeeper",
          purpose="the till is stocked", tier="low", retrain=[oc.cron("0 3 * * *")])
def spending(train: oc.Dataset, *, trees: int = 20):
    """What a visitor spends."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=trees, num_leaves=7, n_jobs=1, verbose=-1).fit(train.X, train.y)


till = oc.Deployment(
    "till", model=spending, experiments=[oc.Experiment("dearer", arms={"control": 50, "challenger": 12.5})]
)


@oc.on_demand
def tipped(till):
    return till * 1.1


bill = oc.Composite("bill", nodes=[till, tipped])
'''


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The project in the current folder, driven by its command line."""

    folder: Path

    def run(self, *arguments: str, input: str | None = None, **environment: str) -> Result:
        """Run a command as a person would, without a terminal."""
        return CliRunner().invoke(app, arguments, input=input, env=environment)

    def done(self, *arguments: str, input: str | None = None) -> str:
        """The output of a command that must succeed."""
        result = self.run(*arguments, input=input)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, input: str | None = None) -> Any:
        """The answer of a command that must succeed, as a program reads it."""
        return json.loads(self.done(*arguments, "--json", input=input))

    def announce(self, process: str, url: str) -> None:
        """Let a server of the test be found as one of the project's processes."""
        host, _, port = url.removeprefix("http://").partition(":")
        announce(self.folder / ".octavo", process, host=host, port=int(port))

    @contextmanager
    def context(self) -> Iterator[Context]:
        """The project's own context, beside the command line."""
        context = open_context(config_here())
        try:
            yield context
        finally:
            for store in (context.stores.metadata, context.stores.online, context.stores.stream):
                store.close()


def write_project(folder: Path) -> None:
    """Write the project's files, and twenty days of its events."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "octavo.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "project.py").write_text(MODULE, encoding="utf-8")
    rows = visits()
    pq.write_table(pa.Table.from_pylist(rows), folder / "visits.parquet")
    (folder / "visits.jsonl").write_text("".join(f"{jsonl(row)}\n" for row in rows), encoding="utf-8")


def visits() -> list[dict[str, object]]:
    """Visits of the twenty days before `NOW`, each lasting a quarter of an hour."""
    chance, rows = random.Random(1), []
    for number in range(600):
        entered = NOW - timedelta(days=20) + timedelta(minutes=47 * number)
        items = float(chance.randint(1, 9))
        spent = 4.0 * items + chance.gauss(0, 1)
        rows.append(
            {"number": number, "entered": entered, "left": entered + timedelta(minutes=15),
             "shop": chance.choice(["north", "south"]), "items": items, "spent": spent}
        )  # fmt: skip
    return rows


def jsonl(row: dict[str, object]) -> str:
    return msgspec.json.encode(row).decode()


def keep_predictions(shop: Shop, *, n: int = 1) -> None:
    """Keep predictions of version 1, as the predictor and the worker would."""
    with shop.context() as context:
        with context.transaction() as tx:
            version = tx.get(ModelVersion, "spending/1")
        assert version is not None
        log = LocalLog(context.config.home / "predictor" / "log", sync=False)
        [output] = open_model(context.stores.artifacts, version.digest).model.predict(INPUTS[None])
        records = [_record(number, digest=version.digest, output=float(output)) for number in range(n)]
        log.publish(TOPIC, [msgspec.msgpack.encode(record) for record in records])
        while ship_predictions(log, context.stores.tables):
            pass
        log.close()


def _record(number: int, *, digest: str, output: float) -> PredictionRecord:
    return PredictionRecord(
        id=f"{PREDICTION[:-6]}{number:06d}", at_us=int(NOW.timestamp() * 1e6) - number, deployment="till",
        model="spending", version=1, digest=digest, arm="live", entities={"shop": "north"}, request=dict(ROW),
        inputs=INPUTS.tobytes(), status=bytes([0, 2, 0]),
        ages_s=np.array([60, np.nan, np.nan], "<f4").tobytes(), output=output, latency_us=850,
        caller="admin/1f3a09c2", trace="",
    )  # fmt: skip
