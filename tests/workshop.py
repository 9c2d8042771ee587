"""A workshop in memory: a small project whose models train in a moment, for tests of training and the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

import octavo as oc
from octavo.clock import ManualClock
from octavo.config import load_config
from octavo.definitions.models import Model
from octavo.definitions.project import Project, collect
from octavo.features.events.ingest import ingest_table
from octavo.features.online.pump import Pump
from octavo.operations import SYSTEM, Context
from tests.plants import memory_stores

START = datetime(2030, 1, 1, tzinfo=UTC)
DAYS = 20

visits = oc.Source(
    "visits",
    event_time="left",
    id=["number"],
    schema={
        "number": oc.Int64,
        "entered": oc.Timestamp,
        "left": oc.Timestamp,
        "shop": oc.String,
        "items": oc.Float64,
        "spent": oc.Float64,
    },
)
takings = oc.FeatureView(
    "takings",
    entity=oc.Entity("shop", key="shop"),
    source=visits,
    features=[oc.mean("spent", over="24h"), oc.count(over="24h"), oc.latest("spent", ttl="2h")],
)
CODE = '"""Spending in shops."""\n'


def declare(train: Callable[[oc.Dataset], Any], **changes: Any) -> Model:
    """A model of what is spent, or with ``above`` in its label of whether it is much."""
    above = changes.pop("above", None)
    settings: dict[str, Any] = {
        "features": [takings, oc.request("items", oc.Float64)],
        "label": oc.Label(visits, "spent", at="entered", above=above),
        "metrics": ["mae"] if above is None else ["log_loss"],
        "holdout": "5d",
        "baseline": "takings__spent_latest",
        "owner": "the shops",
        "purpose": "the till is stocked",
        "tier": "low",
    }
    return oc.model(**(settings | changes))(train)


def boosted(train: oc.Dataset) -> Any:
    """A few trees."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1).fit(train.X, train.y)


def project_of(*models: Model) -> Project:
    module = ModuleType("workshop")
    vars(module).update({model.name: model for model in models}, visits=visits, takings=takings)
    return collect(module, name="shops", code={"project.py": CODE})


@dataclass(frozen=True)
class Workshop:
    """A context over memory stores, its events shipped."""

    context: Context
    model: Model

    @property
    def now(self) -> datetime:
        return self.context.clock.now()


def open_workshop(
    folder: Path, model: Model, *, events: int = 1_500, prices: Mapping[str, float] | None = None
) -> Workshop:
    """A workshop.

    Parameters
    ----------
    prices : mapping of shop to float
        How many times as much is spent in it; 1 unless given.
    """
    (folder / "octavo.toml").write_text('[project]\nname = "shops"\n', encoding="utf-8")
    stores, project = memory_stores(), project_of(model)
    clock = ManualClock(START + timedelta(days=DAYS))
    if events:
        ingest_table(_events(events, prices=prices or {}), visits, stream=stores.stream, clock=clock)
        pump = Pump(stores, project, clock)
        while pump.apply("visits"):
            pass
        while pump.ship("visits"):
            pass
    context = Context(config=load_config(folder, {}), clock=clock, stores=stores, project=project, principal=SYSTEM)
    return Workshop(context, model)


def in_transaction(workshop: Workshop, call: Callable[[Any, Context], Any], request: object) -> Any:
    """Run an operation's function as the dispatcher would."""
    with workshop.context.stores.metadata.transaction() as tx:
        return call(request, replace(workshop.context, tx=tx))


def _events(rows: int, *, prices: Mapping[str, float]) -> pa.Table:
    random = np.random.default_rng(7)
    entered = np.sort(random.integers(0, DAYS * 86_400 - 7_200, rows)) * 1_000_000
    entered += int(START.timestamp()) * 1_000_000
    items = random.integers(1, 12, rows).astype(float)
    spent = items * 3 + random.normal(0, 2, rows) + random.integers(0, 2, rows) * 4
    shops = random.choice(["north", "south", "east"], rows).tolist()
    spent *= [prices.get(shop, 1.0) for shop in shops]
    time = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "number": pa.array(range(rows), pa.int64()),
            "entered": pa.array(entered, pa.int64()).cast(time),
            "left": pa.array(entered + 1_800_000_000, pa.int64()).cast(time),
            "shop": pa.array(shops),
            "items": pa.array(items),
            "spent": pa.array(spent),
        }
    )
