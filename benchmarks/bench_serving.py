"""The predictor, with its log on, against the same HTTP server that answers a constant.

Both servers run on one core, one after the other, and are asked from the other core over kept connections. The model has
44 inputs (40 features of 4 entities, 2 computed, 2 sent) and 200 trees. What is compared is the processor time of a request,
which other work on the machine does not change.

What bounds the result: the HTTP server itself takes a quarter of a request of one row. The features take about half, since
windows are put together at the moment of the request (see `bench_online_features.py`); the model, the checks, the record in
the log and the answer share the rest.

python benchmarks/bench_serving.py [--rows ROWS IN A REQUEST]
"""

import argparse
import asyncio
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

import lightgbm
import msgspec
import numpy as np
import numpy.typing as npt
import psutil
import uvicorn
from airline import DAY, SECOND, START, end_of, flights, flights_table, keys_of, local_stores, project_of, views

import octavo as oc
from octavo.access import ensure_admin, local_token
from octavo.clock import ManualClock, from_micros
from octavo.config import load_config
from octavo.definitions.models import Task
from octavo.definitions.plans import plan_lookup
from octavo.features.ingest import ingest_table
from octavo.features.pump import Pump
from octavo.processes import PREDICTOR, find_running
from octavo.registry.bundles import (
    CARD,
    ENVIRONMENT,
    GOLDEN,
    ONNX,
    PLAN,
    PROVENANCE,
    REPORT,
    BundleFile,
    BundleManifest,
    Golden,
)
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.lightgbm import LightGBM
from octavo.registry.golden import encode_golden
from octavo.registry.signing import Signer
from octavo.release.manifests import Arm, DeploymentManifest, SignedManifest, document_name, encode
from octavo.serving.watcher import PURPOSE
from octavo.stores.objects import ObjectArtifacts

CONNECTIONS, SECONDS, ROUNDS = 16, 2.5, 3
CODE = '''
import octavo as oc


@oc.on_demand
def hour(sched_dep):
    return (sched_dep.astype("datetime64[h]").astype("int64") % 24).astype("float64")


@oc.on_demand
def weekday(sched_dep):
    return ((sched_dep.astype("datetime64[D]").astype("int64") + 3) % 7).astype("float64")
'''
Matrix = npt.NDArray[np.float64]


def main(rows: int) -> None:
    os.sched_setaffinity(0, {os.cpu_count() - 1 if os.cpu_count() else 0})
    with tempfile.TemporaryDirectory() as folder:
        token = make_project(Path(folder))
        for n in dict.fromkeys([rows, 100]):
            compare(Path(folder), token, rows=n)


def compare(root: Path, token: str, *, rows: int) -> None:
    requests = [http_request(token, number, rows=rows) for number in range(500)]
    with predictor(root) as ours:
        body = sample(ours.port, requests[0])
        with constant(body) as plain:
            measured = {server.name: [] for server in (ours, plain)}
            for _ in range(ROUNDS):
                for server in (ours, plain):
                    measured[server.name].append(drive(server, requests))
    for name, of in measured.items():
        print(f"{name}, {rows} rows in a request: {describe(of, rows)}")
    ours_us, plain_us = (median(one.cpu_us for one in of) for of in measured.values())
    print(f"ratio of processor time to the constant answer: {ours_us / plain_us:.2f}")


class Server:
    """A server that listens, on the first core."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.name, self.port, self.process = name, port, psutil.Process(process.pid)

    def cpu_s(self) -> float:
        spent = self.process.cpu_times()
        return spent.user + spent.system


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """How one server did for some seconds."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def describe(rounds: list[Round], rows: int) -> str:
    per_s, cpu_us, p50_ms, p99_ms = (median(getattr(one, name) for one in rounds) for name in Round.__struct_fields__)
    return (
        f"{per_s:,.0f} requests/s, {cpu_us:,.0f} us of processor each ({cpu_us / rows:,.1f} a row), "
        f"p50 {p50_ms:.1f} ms and p99 {p99_ms:.1f} ms at {CONNECTIONS} connections"
    )


def drive(server: Server, requests: list[bytes]) -> Round:
    """Ask over and over on some connections, each with one request under way."""
    sockets = {}
    poll, sending = select.epoll(), cycle(requests)
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", server.port))
        sockets[connection.fileno()] = (connection, [b"", 0])
        poll.register(connection, select.EPOLLIN)
    spent: list[int] = []
    cpu_s, start = server.cpu_s(), time.perf_counter()
    for connection, state in sockets.values():
        state[:] = b"", time.perf_counter_ns()
        connection.sendall(next(sending))
    while time.perf_counter() < start + SECONDS:
        for number, _ in poll.poll(0.1):
            connection, state = sockets[number]
            state[0] += connection.recv(1_000_000)
            if is_whole(state[0]):
                now = time.perf_counter_ns()
                spent.append(now - state[1])
                state[:] = b"", now
                connection.sendall(next(sending))
    cpu_s, wall_s = server.cpu_s() - cpu_s, time.perf_counter() - start
    for connection, _ in sockets.values():
        connection.close()
    spent.sort()
    return Round(
        per_s=len(spent) / wall_s,
        cpu_us=cpu_s / len(spent) * 1e6,
        p50_ms=spent[len(spent) // 2] / 1e6,
        p99_ms=spent[len(spent) * 99 // 100] / 1e6,
    )


def is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not body:
        return False
    assert head.startswith(b"HTTP/1.1 200"), answer
    return len(body) >= int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


def sample(port: int, request: bytes) -> bytes:
    """The body of one answer; all features in it must be there."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        answer = b""
        while not is_whole(answer):
            answer += connection.recv(1_000_000)
    body = answer.partition(b"\r\n\r\n")[2]
    assert b'"degraded"' not in body
    return body


def http_request(token: str, number: int, *, rows: int) -> bytes:
    when = from_micros(START + 40 * DAY + number * SECOND).isoformat()
    sent = [{**keys_of(number * rows + row), "sched_dep": when, "distance": 500.0 + row, "seats": 100} for row in range(rows)]
    body = msgspec.json.encode({"rows": sent})
    head = f"POST /predict/eta HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def predictor(root: Path) -> Iterator[Server]:
    process = subprocess.Popen(["taskset", "-c", "0", sys.executable, "-m", "octavo.serving"], cwd=root, stderr=subprocess.DEVNULL)
    try:
        while (found := find_running(root / ".octavo", PREDICTOR)) is None or not found.port:
            time.sleep(0.05)
        yield Server("predictor with its log", process, found.port)
    finally:
        process.kill()
        process.wait()


@contextmanager
def constant(body: bytes) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["taskset", "-c", "0", sys.executable, __file__, "--constant", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(body)
        process.stdin.close()
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield Server("constant answer", process, port)
        finally:
            process.kill()


def serve_constant(port: int) -> None:
    """Answer every request, once its body has come, with what came by the standard input."""
    body = sys.stdin.buffer.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # as ASGI has it
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    settings = {"loop": "uvloop", "http": "httptools", "lifespan": "off", "ws": "none", "access_log": False, "log_config": None}
    uvicorn.run(app, host="127.0.0.1", port=port, **settings)  # type: ignore[arg-type]  # of several types


def make_project(root: Path) -> str:
    """A project with features, a published version and a token, which is returned."""
    table = flights_table(40_000)
    start = from_micros(end_of(table)).isoformat()
    (root / "octavo.toml").write_text(
        f'[project]\nname = "airline"\n[predictor]\nport = 0\n[clock]\nmode = "replay"\nstart = "{start}"\n'
    )
    config = load_config(root, {})
    ensure_admin(config.home)
    stores, clock = local_stores(config.home, sync=False), ManualClock(from_micros(end_of(table)))
    ingest_table(table, flights, stream=stores.stream, clock=clock)
    pump = Pump(stores, project_of(), clock)
    while pump.apply("flights"):
        pass
    stores.online.close()
    artifacts = ObjectArtifacts(config.path(config.stores.artifacts))
    arm = Arm(role="live", model="arr_delay", version=1, digest=publish_bundle(artifacts), percent=100)
    manifest = DeploymentManifest(
        project="airline", deployment="eta", sequence=1, unit=None, arms=(arm,), published_at_us=0
    )
    payload = encode(manifest)
    signature = Signer(config.home / "keys" / "release.key").sign(PURPOSE, payload)
    artifacts.publish(document_name("eta"), msgspec.json.encode(SignedManifest(payload=payload, signature=signature)))
    return local_token(config.home)


def publish_bundle(artifacts: ObjectArtifacts) -> str:
    """A bundle of 200 trees over all of the airline's features; its digest."""
    plan = plan_lookup(model())
    random = np.random.default_rng(1)
    X = random.normal(10, 30, (5_000, len(plan.inputs)))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, X.sum(axis=1)), 200)
    onnx = LightGBM().to_onnx(booster, n_inputs=len(plan.inputs), task=Task.REGRESSION)
    golden = Golden(rows=X[:20].astype(np.float32), expected=CompiledModel(onnx).predict(X[:20]), tolerance=1e-4)
    files = {
        ONNX: onnx,
        PLAN: msgspec.json.encode(plan),
        GOLDEN: encode_golden(golden),
        **dict.fromkeys((REPORT, PROVENANCE), b"{}"),
        **dict.fromkeys((CARD, ENVIRONMENT), b""),
        "code/project.py": CODE.encode(),
    }
    listed = {name: BundleFile(digest=artifacts.put(data), size_bytes=len(data)) for name, data in files.items()}
    manifest = BundleManifest(layout=1, project="airline", model="arr_delay", format="lightgbm", files=listed)
    return artifacts.put(msgspec.json.encode(manifest, order="deterministic"))


def model() -> oc.Model:
    declared: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "functions.py"
        module.write_text(CODE)
        exec(compile(CODE, str(module), "exec"), declared)
    return declared  # type: ignore[return-value]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--constant", type=int)
    given = parser.parse_args()
    serve_constant(given.constant) if given.constant else main(given.rows)
