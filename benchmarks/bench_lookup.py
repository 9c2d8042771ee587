"""What features cost a request: the same model with 20 features of two entities from LMDB, from Redis, and sent along.

Predictors with their logs on are asked in turns, each alone on its core; Redis shares the other one with the load.
What is compared is the processor time of a request, and the requests per second. The stores are asked as they stand,
when their readers may remember what they have read, and while states are written all the time; Redis also by a reader
that may remember nothing. Then each is asked at half of what it bears, and latency is counted from the moment at which
a request was due; the HTTP server alone is asked likewise, which tells what the machine adds.

Before that, the lookup alone is timed in this process, for one caller and for 32 at a time.

python benchmarks/bench_lookup.py [--seconds SECONDS] [--rounds ROUNDS]
"""

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import median
from types import ModuleType

import airline
import lightgbm
import msgspec
import uvloop
from load import Borne, Server, drive, one_answer, post
from pacing import paced
from published import publish_bundle, publish_version

import octavo as oc
from octavo.access import ensure_admin, local_token
from octavo.clock import ManualClock, from_micros
from octavo.config import Config, load_config
from octavo.definitions.models import Model
from octavo.definitions.plans import plan_view
from octavo.definitions.project import Project, collect
from octavo.features.events.ingest import ingest_table
from octavo.features.online.pump import Pump
from octavo.features.online.reader import ViewsReader
from octavo.serving.guarded import GuardedReader
from octavo.serving.lookup import FeatureLookup
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.online import loop_reader, online_adapter
from octavo.stores.ports import OnlineStore
from servers import constant, divide_cores, predictor

TREES, FLIGHTS, REQUESTS, CONNECTIONS, LOOKUPS = 50, 40_000, 2_000, 32, 20_000
SENT_ALONG, ANEW = "sent along", "Redis, remembering nothing"
WRITES_PER_S, ENTITIES_PER_WRITE = 50, 20
KEYS = ("carrier", "tailnum")
NUMBERS = ("distance", "hour", "seats")
SENT = tuple(f"sent_{number}" for number in range(20))

views = {
    key: oc.FeatureView(
        f"recent_{key}",
        entity=oc.Entity(key, key=key),
        source=airline.flights,
        features=[
            oc.latest("distance", ttl="7d"),
            oc.latest("dep_delay", ttl="7d"),
            oc.latest("arr_delay", ttl="7d"),
            oc.count(over=["1h", "24h", "7d"]),
            oc.sum("dep_delay", over=["24h", "7d"]),
            oc.sum("arr_delay", over=["24h", "7d"]),
        ],
    )
    for key in KEYS
}

planned = tuple(plan_view(view) for view in views.values())


def boost(train: oc.Dataset) -> lightgbm.Booster:
    """Trees that say something about every input."""
    return lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(train.X, train.y), TREES)


def model_of(features: Sequence[object]) -> Model:
    numbers = [oc.request(name, oc.Float64) for name in NUMBERS]
    asked = oc.Source(
        "asked",
        event_time="at",
        available_at="at",
        id=["id"],
        schema={"id": oc.Int64, "at": oc.Timestamp, "y": oc.Float64}
        | dict.fromkeys(KEYS, oc.String)
        | dict.fromkeys((*NUMBERS, *SENT), oc.Float64),
    )
    declare = oc.model(
        features=[*features, *numbers],
        label=oc.Label(asked, "y", at="at"),
        metrics=["mae"],
        holdout="7d",
    )
    return declare(boost)


def main(*, seconds: float, rounds: int) -> None:
    core = divide_cores()
    with tempfile.TemporaryDirectory() as folder, running_redis(folder) as port:
        urls = {SENT_ALONG: "lmdb:.octavo/online", "LMDB": "lmdb:.octavo/online"}
        urls["Redis"] = f"redis://127.0.0.1:{port}/0"
        urls[ANEW] = f"redis://127.0.0.1:{port}/1?remember_mb=0"
        configs = {name: make_project(Path(folder) / name, url) for name, url in urls.items()}
        alone(configs)
        compare(configs, core=core, seconds=seconds, rounds=rounds)


def make_project(root: Path, url: str) -> Config:
    """A project whose online features are filled, or hold nothing where they are sent along."""
    table = airline.flights_table(FLIGHTS)
    now = from_micros(airline.end_of(table))
    root.mkdir()
    (root / "octavo.toml").write_text(
        '[project]\nname = "airline"\n[predictor]\nport = 0\ngrpc_port = -1\nlookup_timeout_ms = 1000\n'
        f'[stores]\nonline = "{url}"\n[clock]\nmode = "replay"\nstart = "{now.isoformat()}"\n',
        encoding="utf-8",
    )
    config = load_config(root, {})
    ensure_admin(config.home)
    if root.name != SENT_ALONG:
        fill(config, table=table, clock=ManualClock(now))
    features = [oc.request(name, oc.Float64) for name in SENT] if root.name == SENT_ALONG else [*views.values()]
    model = model_of(features)
    digest = publish_bundle(ObjectArtifacts(config.path(config.stores.artifacts)), model)
    publish_version(config, project="airline", deployment="eta", model=model.name, version=1, digest=digest, sequence=1)
    return config


def fill(config: Config, *, table: object, clock: ManualClock) -> None:
    stores = airline.local_stores(config.home, sync=False)
    stores.online.close()
    stores = replace(stores, online=online_adapter(config)(readonly=False))
    ingest_table(table, airline.flights, stream=stores.stream, clock=clock)
    pump = Pump(stores, project(), clock)
    while pump.apply("flights"):
        pass
    stores.online.close()


def project() -> Project:
    module = ModuleType("airline")
    vars(module).update(views)
    return collect(module, name="airline", code={})


@contextmanager
def running_redis(folder: str) -> Iterator[int]:
    """The port of a redis-server that keeps nothing on disk."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    program = shutil.which("redis-server") or sys.exit("this needs redis-server")
    command = [program, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        time.sleep(1)
        try:
            yield port
        finally:
            process.kill()


def alone(configs: Mapping[str, Config]) -> None:
    """Time lookups as the predictor makes them, without a request around them."""
    at_us = airline.end_of(airline.flights_table(FLIGHTS))
    keys = [{key: [airline.keys_of(number)[key]] for key in KEYS} for number in range(REQUESTS)]
    for callers in (1, 32):
        told = []
        for name in [name for name in configs if name != SENT_ALONG]:
            with closing(loop_reader(configs[name])) as reader:
                took = uvloop.run(look_up(FeatureLookup(GuardedReader(reader), planned), keys, at_us, callers=callers))
            told.append(f"{name} {took * 1e6:.1f}")
        print(f"a lookup alone, {callers} at a time, microseconds of processor time: {', '.join(told)}")


async def look_up(lookup: FeatureLookup, keys: Sequence[Mapping[str, list[str]]], at_us: int, *, callers: int) -> float:
    """Processor time of a lookup."""
    assert not (await lookup.read(keys[0], n_rows=1, at_us=at_us)).degraded

    async def ask(first: int) -> None:
        for number in range(first, LOOKUPS, callers):
            await lookup.read(keys[number % len(keys)], n_rows=1, at_us=at_us)

    began_s = time.process_time()
    await asyncio.gather(*(ask(first) for first in range(callers)))
    return (time.process_time() - began_s) / LOOKUPS


def compare(configs: Mapping[str, Config], *, core: int, seconds: float, rounds: int) -> None:
    requests = {name: [request_of(config, n) for n in range(REQUESTS)] for name, config in configs.items()}
    measured: dict[str, list[Borne]] = {name: [] for name in configs}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(predictor(config.root, core=core)) for name, config in configs.items()}
        for name, server in servers.items():
            assert b'"degraded"' not in one_answer(server, requests[name][0]), name
        for _ in range(rounds):
            for name, server in servers.items():
                measured[name].append(drive(server, requests[name], seconds=seconds, connections=CONNECTIONS))
            for name in ("LMDB", "Redis"):
                with written_to(configs[name]):
                    borne = drive(servers[name], requests[name], seconds=seconds, connections=CONNECTIONS)
                measured.setdefault(f"{name}, written to {WRITES_PER_S} times a second", []).append(borne)
        tell(measured)
        alike = one_answer(servers[SENT_ALONG], requests[SENT_ALONG][0])
        servers["the same server, answering a constant,"] = stack.enter_context(constant(alike, core=core))
        for name, server in servers.items():
            asked = name if name in measured else SENT_ALONG
            half(server, requests[asked], name=name, per_s=middle(measured[asked], "per_s") / 2, seconds=seconds)


@contextmanager
def written_to(config: Config) -> Iterator[None]:
    """Write the states of some entities again and again, so that nobody may remember them for long."""
    store, done = online_adapter(config)(readonly=False), threading.Event()
    turns = cycle([*states_of(store)])

    def write() -> None:
        while not done.wait(1 / WRITES_PER_S):
            store.write(next(turns), marks={})

    writing = threading.Thread(target=write)
    writing.start()
    try:
        yield
    finally:
        done.set()
        writing.join()
        store.close()


def states_of(store: OnlineStore) -> Iterator[Mapping[bytes, bytes | None]]:
    """What the store holds of the entities that are asked for, some at a time."""
    reader = ViewsReader(planned)
    for first in range(0, REQUESTS, ENTITIES_PER_WRITE):
        numbers = range(first, first + ENTITIES_PER_WRITE)
        keys = {key: [airline.keys_of(number)[key] for number in numbers] for key in KEYS}
        for _ in range(2):  # the first time it learns what the views' states are called
            wanted = reader.wanted(keys, n_rows=ENTITIES_PER_WRITE)
            found = store.read(wanted.keys)
            reader.values(wanted, found, at_us=0)
        yield dict(zip(wanted.keys[len(planned) :], found[len(planned) :], strict=True))


def tell(measured: Mapping[str, Sequence[Borne]]) -> None:
    whole = middle(measured[SENT_ALONG], "per_s")
    for name, of in measured.items():
        print(
            f"{name}: {middle(of, 'per_s'):,.0f} requests/s ({middle(of, 'per_s') / whole:.2f} of sent along), "
            f"{middle(of, 'cpu_us'):.1f} us of processor time each, p99 {middle(of, 'p99_ms'):.1f} ms"
        )


def half(server: Server, requests: Sequence[bytes], *, name: str, per_s: float, seconds: float) -> None:
    borne = paced(server, requests, per_s=per_s, seconds=seconds, connections=CONNECTIONS)
    print(f"{name} at half of that: p50 {borne.p50_ms:.2f} ms, p99 {borne.p99_ms:.2f} ms")


def middle(of: Sequence[Borne], name: str) -> float:
    return median(getattr(one, name) for one in of)


def request_of(config: Config, number: int) -> bytes:
    row: dict[str, object] = {"distance": 500.0 + number % 100, "hour": number % 24, "seats": 100 + number % 7}
    if config.root.name == SENT_ALONG:
        row |= {name: (number * place) % 97 / 3 for place, name in enumerate(SENT)}
    else:
        row |= {key: airline.keys_of(number)[key] for key in KEYS}
    body = msgspec.json.encode({"rows": [row]})
    return post("/predict/eta", body, authorization=f"Bearer {local_token(config.home)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Requests with features from a store against requests without.")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is asked in a round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(seconds=given.seconds, rounds=given.rounds)
