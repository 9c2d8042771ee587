"""The predictor, with its log on, against the same HTTP server that answers a constant.

Both servers run on one core and are asked in turns from another. The model has 43 inputs (40 features of 4 entities, 2
computed, 1 sent) and 200 trees. What is compared is the processor time of a request, which other work on the machine
changes little.

What bounds the result for one row: about two fifths of a request go into reading features (see
`bench_online_features.py`) and putting the matrix together, and an eighth each into HTTP, the model, and the record in
the log; checks, routing and the answer share the rest.

python benchmarks/bench_serving.py [--rows ROWS IN A REQUEST]
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import airline
import msgspec
import uvicorn
from load import Borne, Server, drive, one_answer
from published import make_project

from octavo.clock import from_micros
from octavo.processes import PREDICTOR, find_running

CONNECTIONS, SECONDS, ROUNDS = 16, 2, 3
REQUESTS = 500


def main(rows: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    with tempfile.TemporaryDirectory() as folder:
        token = make_project(Path(folder), flights=40_000)
        for n in dict.fromkeys((rows, 100)):
            compare(Path(folder), token, rows=n, core=cores[0])


def compare(root: Path, token: str, *, rows: int, core: int) -> None:
    requests = [http_request(token, number, rows=rows) for number in range(REQUESTS)]
    with predictor(root, core=core) as ours:
        body = one_answer(ours, requests[0])
        assert b'"degraded"' not in body
        with constant(body, core=core) as plain:
            assert one_answer(plain, requests[0]) == body
            measured: dict[str, list[Borne]] = {ours.name: [], plain.name: []}
            for _ in range(ROUNDS):
                for server in (ours, plain):
                    measured[server.name].append(drive(server, requests, seconds=SECONDS, connections=CONNECTIONS))
    print(f"{rows} rows in a request")
    for name, of in measured.items():
        print(f"  {name}: {describe(of)}")
    ours_us, plain_us = (median(one.cpu_us for one in of) for of in measured.values())
    print(f"  ratio of processor time: {ours_us / plain_us:.1f}")


def describe(rounds: list[Borne]) -> str:
    def middle(name: str) -> float:
        return median(getattr(one, name) for one in rounds)

    return (
        f"{middle('per_s'):,.0f} requests/s, {middle('cpu_us'):,.0f} us of processor time each, "
        f"p50 {middle('p50_ms'):.1f} ms, p99 {middle('p99_ms'):.1f} ms at {CONNECTIONS} connections"
    )


def http_request(token: str, number: int, *, rows: int) -> bytes:
    at = from_micros(airline.START + 40 * airline.DAY + number * airline.SECOND).isoformat()
    sent = [{**airline.keys_of(number * rows + row), "departed": at, "distance": 500.0 + row} for row in range(rows)]
    body = msgspec.json.encode({"rows": sent})
    head = (
        f"POST /predict/eta HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def predictor(root: Path, *, core: int) -> Iterator[Server]:
    command = ["taskset", "-c", str(core), sys.executable, "-m", "octavo.serving"]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) as process:
        try:
            while (found := find_running(root / ".octavo", PREDICTOR)) is None or found.pid != process.pid:
                time.sleep(0.05)
            yield Server(name="predictor", port=found.port, pid=process.pid)
        finally:
            process.terminate()


@contextmanager
def constant(body: bytes, *, core: int) -> Iterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    command = ["taskset", "-c", str(core), sys.executable, __file__, "--constant", str(listening.fileno())]
    with (
        listening,
        subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listening.fileno()]) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(body)
        process.stdin.close()
        try:
            yield Server(name="constant answer", port=listening.getsockname()[1], pid=process.pid)
        finally:
            process.terminate()


def serve_constant(descriptor: int) -> None:
    """Answer every request, once its body has come, with what came by the standard input."""
    body = sys.stdin.buffer.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Requests to a predictor against requests for a constant.")
    parser.add_argument("--rows", type=int, default=1, help="rows in a request")
    parser.add_argument("--constant", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.constant is None:
        main(given.rows)
    else:
        serve_constant(given.constant)
