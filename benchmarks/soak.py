"""Whether a predictor's memory stays flat under load: good requests, bad ones, large ones and slow callers.

    python benchmarks/soak.py [--minutes 60] [--connections 16] [--slow 200] [--limit 1.1] [--per-s RATE]

Without a rate the load is all that the connections bring about. Tells the predictor's memory at each twentieth of the
time, and the ratio of its end to what it was after the first fifth, when all has been used once. Ends with 1 if that is
above the limit, or if a request that is good failed.
"""

import argparse
import json
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import airline
import published
from load import Borne, Server, drive, post
from pacing import paced

from servers import divide_cores, predictor

PARTS = 20
SETTLED = PARTS // 5
_BAD = (b"", b"[" * 10_000, b'{"rows":[{"distance":NaN}]}', b'{"rows":[]}', b"\xff" * 1_000)


def main(asked: argparse.Namespace) -> int:
    """Put a predictor under load and watch its memory; the exit code."""
    core, memory_mb, failed, answered = divide_cores(), [], 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        token = published.make_project(Path(folder), flights=20_000)
        with predictor(Path(folder), core=core) as server:
            good, bad, seconds = requests(token), hostile(token), asked.minutes * 60 / PARTS
            for part in range(1, PARTS + 1):
                with slow_callers(server, good[0], count=asked.slow):
                    drive(server, bad, seconds=1, connections=2)
                    borne = load(server, good, seconds=max(seconds - 1, 1), asked=asked)
                memory_mb.append(own_memory_mb(server))
                failed, answered = failed + borne.failed, answered + borne.per_s * max(seconds - 1, 1)
                print(
                    f"{part * asked.minutes / PARTS:6.1f} min  {memory_mb[-1]:7.1f} MB  {borne.per_s:8,.0f} requests/s "
                    f"{borne.cpu_us:6.0f} us each  p99 {borne.p99_ms:6.2f} ms  failed {borne.failed}",
                    flush=True,
                )
    ratio = memory_mb[-1] / memory_mb[SETTLED - 1]
    steps = sum(after > before for before, after in pairwise(memory_mb[SETTLED - 1 :]))
    print(f"{answered:,.0f} requests answered, {failed} failed")
    print(f"memory at the end / after the first fifth: {ratio:.3f} ({steps} of {PARTS - SETTLED} steps upwards)")
    return int(ratio > asked.limit or failed > 0)


def load(server: Server, requests: Sequence[bytes], *, seconds: float, asked: argparse.Namespace) -> Borne:
    """What is asked for of it, for a while."""
    if asked.per_s is None:
        return drive(server, requests, seconds=seconds, connections=asked.connections)
    return paced(server, requests, per_s=asked.per_s, seconds=seconds, connections=asked.connections)


def own_memory_mb(server: Server) -> float:
    """What is the process's alone and changed since it was read: its heap."""
    lines = Path(f"/proc/{server.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:")) / 1024


def requests(token: str, *, singles: int = 200) -> list[bytes]:
    """Single rows of many entities, and now and then a hundred rows."""
    rows = [row(number) for number in range(singles)]
    bodies = [{"rows": [one]} for one in rows] + [{"rows": rows[:100]}]
    return [_post(token, json.dumps(body).encode()) for body in bodies]


def row(number: int) -> dict[str, object]:
    """A row that the model takes."""
    return {"departed": "2013-07-01T12:30:00Z", "distance": 100.0 + number, **airline.keys_of(number)}


def hostile(token: str) -> list[bytes]:
    """Requests that are refused."""
    return [_post(token, body) for body in _BAD]


def slow_callers(server: Server, request: bytes, *, count: int) -> ExitStack:
    """Callers who send parts of a request and wait."""
    held = ExitStack()
    for number in range(count):
        connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        connection.sendall(request[: 20 if number % 2 else -3])
    return held


def _post(token: str, body: bytes) -> bytes:
    return post("/predict/eta", body, authorization=f"Bearer {token}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A predictor's memory under load, from its start to its end.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--per-s", type=float, help="requests a second; without it all that the connections bring")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--slow", type=int, default=200, help="callers who send part of a request and wait")
    parser.add_argument("--limit", type=float, default=1.1, help="of the ratio of memory at the end")
    sys.exit(main(parser.parse_args()))
