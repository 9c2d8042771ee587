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
from octavo.errors import Unavailable
from octavo.features.operations import IngestEvents
from octavo.loop.definitions import ApplyProject
from octavo.loop.operations import TrainModel
from octavo.operations import SYSTEM
from octavo.processes import CONTROL, PREDICTOR, WORKER, RunningProcess, find_running
from octavo.wiring import build_dispatcher, open_context

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
grpc_port = 0

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
    owner="dispatch",
    purpose="customers are told when to expect a parcel",
    tier="low",
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
PATIENCE_S = 120.0
_DEPOTS = {"north": 8.0, "south": 14.0, "west": 20.0}
_UP = """
from octavo.config import config_here
from octavo.loop.supervisor import run_project
run_project(config_here())
"""
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


def prepare(folder: Path, *, module: str = MODULE, versions: int = 2, settings: str = SETTINGS) -> Config:
    """A project with its history in the tables and versions in the registry, none of them released yet."""
    config = write_project(folder, module=module, settings=settings)
    context = open_context(config, writes_online=True)
    dispatcher = build_dispatcher(context)
    try:
        dispatcher.call(ApplyProject(), SYSTEM)
        rows = tuple(deliveries(START - timedelta(days=HISTORY_DAYS), START - timedelta(days=1)))
        dispatcher.call(IngestEvents(source="deliveries", rows=rows), SYSTEM)
        for _ in range(versions):
            dispatcher.call(TrainModel(model="delivery_hours"), SYSTEM)
    finally:
        for store in (context.stores.metadata, context.stores.online, context.stores.stream):
            store.close()
    return config


@dataclass
class Replay:
    """Live traffic, as it was: each parcel is predicted when it is sent, and told of when it arrives.

    What cannot be reached is tried again until it can. So a prediction may be made twice, but is answered once; an
    event or outcome that was sent twice is the same one.

    Attributes
    ----------
    answered : dict of prediction to parcel
        Predictions whose answers arrived.
    told : list of str
        Parcels whose arrival was accepted, as an event and as an outcome.
    """

    client: Client
    answered: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    _under_way: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def run(self, since: datetime, until: datetime, *, slower: float = 1.0) -> None:
        """Replay the parcels that were sent in [since, until), and end at `until`."""
        for parcel in deliveries(since, until, slower=slower):
            self._advance(datetime.fromisoformat(parcel["sent_at"]))
            row = {"depot": parcel["depot"], "weight": parcel["weight"]}
            [answer] = patiently(lambda row=row: self.client.predict("eta", [row]))["predictions"]
            self.answered[answer["id"]] = parcel["parcel"]
            self._under_way.append((answer["id"], parcel))
        self._advance(until)

    def _advance(self, to: datetime) -> None:
        """Move the clock, after telling of what arrived before."""
        arrived = [(made, parcel) for made, parcel in self._under_way if _arrival(parcel) <= to]
        self._under_way = [(made, parcel) for made, parcel in self._under_way if _arrival(parcel) > to]
        if arrived:
            self._move_clock(max(_arrival(parcel) for _, parcel in arrived))
            outcomes = [
                {"prediction": made, "value": parcel["hours"], "known_at": parcel["arrived_at"]}
                for made, parcel in arrived
            ]
            patiently(lambda: self.client.send_events("deliveries", [parcel for _, parcel in arrived]))
            patiently(lambda: self.client.send_outcomes(outcomes))
            self.told += [parcel["parcel"] for _, parcel in arrived]
        self._move_clock(to)

    def _move_clock(self, to: datetime) -> None:
        patiently(lambda: self.client.advance_clock(to))


def patiently(ask: Callable[[], _T]) -> _T:
    """Ask until there is an answer, for as long as a process that was killed may take to be back."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except Unavailable:
            assert time.monotonic() < deadline_s, f"nobody answers for {PATIENCE_S:g} s"
            time.sleep(0.02)


def _arrival(parcel: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(parcel["arrived_at"])


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
    client: Client

    def process(self, name: str) -> RunningProcess:
        """A process that runs; waits for it."""
        return until(lambda: find_running(self.config.home, name), what=f"{name} runs")

    def kill(self, name: str) -> None:
        """End a process at once, by SIGKILL; returns when it is gone."""
        killed = self.process(name).pid
        os.kill(killed, signal.SIGKILL)
        until(lambda: getattr(find_running(self.config.home, name), "pid", 0) != killed, what=f"{name} is gone")

    def release(self, version: int) -> str:
        """Ask for a release; its id."""
        started = patiently(lambda: self.client.call("releases.start", deployment="eta", version=version))
        return str(started["id"])

    def is_at(self, release: str, state: str, percent: int = 0) -> bool:
        """Whether a release is in a state, and predictors serve by it."""
        found = patiently(lambda: self.client.call("releases.show", release=release))
        return (found["state"], found["percent"]) == (state, percent) and found["served_at"] is not None


@contextmanager
def up(config: Config) -> Iterator[Running]:
    """Run a project under its supervisor, until the block ends; nothing of it is left then."""
    with (config.root / "up.log").open("ab") as output:
        supervisor = subprocess.Popen([sys.executable, "-c", _UP], cwd=config.root, stderr=output, stdout=output)
    try:
        for name in (CONTROL, WORKER, PREDICTOR):
            until(lambda name=name: find_running(config.home, name), what=f"{name} runs")
        with Client.here(config.root, timeout_s=PATIENCE_S) as client:
            yield Running(config, supervisor, client)
    finally:
        supervisor.terminate()
        supervisor.wait(timeout=PATIENCE_S)


def until(what_holds: Callable[[], _T | None], *, what: str, patience_s: float = PATIENCE_S) -> _T:
    """Wait until something is there that is not false, and return it."""
    deadline_s = time.monotonic() + patience_s
    while not (found := what_holds()):
        assert time.monotonic() < deadline_s, f"in vain for {patience_s:g} s: {what}"
        time.sleep(0.02)
    return found
