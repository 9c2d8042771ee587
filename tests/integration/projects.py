"""A tiny project that trains in about a second, and a running one to try things on: deliveries, replayed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from octavo.client import Client
from octavo.config import Config, load_config
from octavo.definitions.project import load_project
from octavo.features.ingest import ingest_rows
from octavo.processes import CONTROL, PREDICTOR, WORKER, find_running, open_clock
from octavo.stores.open import open_stream

START = datetime(2013, 6, 1, tzinfo=UTC)
"""Where the replay begins; the history lies before it."""

HISTORY_DAYS = 8
SETTINGS = f"""
[project]
name = "deliveries"

[control]
port = 0

[predictor]
port = 0

[clock]
mode = "replay"
start = "{START.isoformat()}"
max_lag = "1h"
"""
MODULE = '''
"""How many hours a parcel will take, told when it is sent."""

import octavo as oc

deliveries = oc.Source(
    "deliveries",
    event_time="arrived_at",
    id=["parcel"],
    schema={
        "parcel": oc.String,
        "depot": oc.String,
        "weight": oc.Float64,
        "sent_at": oc.Timestamp,
        "arrived_at": oc.Timestamp,
        "hours": oc.Float64,
    },
)
depot = oc.Entity("depot", key="depot")
depot_hours = oc.FeatureView(
    "depot_hours", entity=depot, source=deliveries, features=[oc.mean("hours", over="24h"), oc.count(over="24h")]
)


@oc.model(
    features=[depot_hours, oc.request("weight", oc.Float64)],
    label=oc.Label(deliveries, "hours", at="sent_at"),
    metrics=["mae"],
    gates=[oc.at_most("mae", 20.0)],
    retrain=[oc.on_drift(), oc.on_performance()],
    holdout="2d",
)
def delivery_hours(train: oc.Dataset):
    """Hours from sending to arrival."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, random_state=1, verbose=-1).fit(train.X, train.y)


eta = oc.Deployment(
    "eta",
    model=delivery_hours,
    rollout=oc.Rollout(shadow="2h", steps=[50, 100], bake="2h"),
    monitor=oc.Monitor(every="6h", window="24h", min_rows=50),
)
'''
PATIENCE_S = 60.0
_DEPOTS = {"north": 8.0, "south": 14.0, "west": 20.0}
_UP = "from octavo.loop.supervisor import run_project; from octavo.wiring import config_here; run_project(config_here())"
_T = TypeVar("_T")


def write_project(folder: Path, *, module: str = MODULE, settings: str = SETTINGS) -> Config:
    """Write the project into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "octavo.toml").write_text(settings, encoding="utf-8")
    (folder / "project.py").write_text(module, encoding="utf-8")
    return load_config(folder, {})


def deliveries(since: datetime, until: datetime, *, slower: float = 1.0) -> list[dict[str, Any]]:
    """Parcels sent every twenty minutes in [since, until), the same at each call, in the order in which they are sent.

    Parameters
    ----------
    slower : float
        How many times as long each takes.
    """
    count = int((until - since) / timedelta(minutes=20))
    return [_delivery(since + n * timedelta(minutes=20), slower=slower) for n in range(count)]


def ingest_history(config: Config) -> int:
    """Accept the deliveries before the replay begins, as the command line would; how many there were."""
    project = load_project(config.module_path, name=config.project.name)
    rows = deliveries(START - timedelta(days=HISTORY_DAYS), START - timedelta(days=1))
    stream = open_stream(config)
    ingest_rows(rows, project.source("deliveries"), stream=stream, clock=open_clock(config))
    stream.close()
    return len(rows)


@dataclass
class Replay:
    """Live traffic, as it was: each parcel is predicted when it is sent, and told of when it arrives.

    Attributes
    ----------
    predictions : dict of parcel to the id of its prediction
    told : list of str
        Parcels whose arrival was accepted, as an event and as an outcome.
    """

    client: Client
    predictions: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    _under_way: list[dict[str, Any]] = field(default_factory=list)

    def run(self, since: datetime, until: datetime, *, slower: float = 1.0) -> None:
        """Replay the parcels that were sent in [since, until), and end at `until`."""
        for parcel in deliveries(since, until, slower=slower):
            self._advance(datetime.fromisoformat(parcel["sent_at"]))
            [answer] = self.client.predict("eta", [{"depot": parcel["depot"], "weight": parcel["weight"]}])["predictions"]
            self.predictions[parcel["parcel"]] = answer["id"]
            self._under_way.append(parcel)
        self._advance(until)

    def _advance(self, to: datetime) -> None:
        """Move the clock, after telling of what arrived before."""
        arrived = [parcel for parcel in self._under_way if datetime.fromisoformat(parcel["arrived_at"]) <= to]
        self._under_way = [parcel for parcel in self._under_way if parcel not in arrived]
        if arrived:
            last = max(datetime.fromisoformat(parcel["arrived_at"]) for parcel in arrived)
            self.client.advance_clock(last)
            self.client.send_events("deliveries", arrived)
            self.client.send_outcomes(
                [
                    {
                        "prediction": self.predictions[parcel["parcel"]],
                        "value": parcel["hours"],
                        "known_at": parcel["arrived_at"],
                    }
                    for parcel in arrived
                ]
            )
            self.told += [parcel["parcel"] for parcel in arrived]
        self.client.advance_clock(to)


def _delivery(sent_at: datetime, *, slower: float) -> dict[str, Any]:
    chance = random.Random(f"{sent_at}")
    place, weight = chance.choice(sorted(_DEPOTS)), round(chance.uniform(0.1, 20.0), 1)
    hours = round((_DEPOTS[place] * 0.5 + weight * 0.2 + chance.uniform(0, 1)) * slower, 3)
    return {
        "parcel": f"{sent_at:%m%d%H%M}",
        "depot": place,
        "weight": weight,
        "sent_at": sent_at.isoformat(),
        "arrived_at": (sent_at + timedelta(hours=hours)).isoformat(),
        "hours": hours,
    }


@dataclass
class Running:
    """A project that is up, driven by a client."""

    config: Config
    supervisor: subprocess.Popen[bytes]
    client: Client = field(init=False)

    def pid(self, name: str) -> int:
        """Of a process that runs; waits for it."""
        found = until(lambda: find_running(self.config.home, name), what=f"{name} runs")
        return found.pid

    def kill(self, name: str) -> None:
        """End a process at once, by SIGKILL."""
        os.kill(self.pid(name), signal.SIGKILL)

    def ready(self) -> None:
        """Wait until all processes run, and connect to them."""
        for name in (CONTROL, WORKER, PREDICTOR):
            self.pid(name)
        self.client = until(lambda: _connected(self.config.root), what="control answers")


def _connected(root: Path) -> Client | None:
    client = Client.here(root, timeout_s=PATIENCE_S)
    client.call("deployments.list")
    return client


@contextmanager
def up(config: Config) -> Iterator[Running]:
    """Run a project under its supervisor, until the block ends; nothing of it is left then."""
    with (config.root / "up.log").open("ab") as output:
        supervisor = subprocess.Popen([sys.executable, "-c", _UP], cwd=config.root, stderr=output, stdout=output)
    running = Running(config=config, supervisor=supervisor)
    try:
        running.ready()
        yield running
    finally:
        supervisor.terminate()
        supervisor.wait(timeout=PATIENCE_S)


def until(what_holds: Callable[[], _T | None], *, what: str, patience_s: float = PATIENCE_S) -> _T:
    """Wait until something is there that is not false, and return it; an absent process is waited for."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        try:
            if found := what_holds():
                return found
        except Exception as error:  # whatever a process that is just being killed answers
            what_failed: object = error
        else:
            what_failed = "it does not hold"
        time.sleep(0.02)
    raise AssertionError(f"in vain for {patience_s:g} s: {what} ({what_failed})")
