"""Fifty online features of 1 and of 100 users, by Octavo and by Feast from one Redis, and by hand as the floor.

    python benchmarks/feast/online.py [--users 10000] [--events-per-user 10] [--requests 300]

Both hold the same latest values of 50 columns; Feast has no windows, so those of Octavo (10 columns, over 1, 7 and 30
days) stand beside them. Users are asked for in turn, so that each is new to whatever remembers the last ones, and then
a few of them again and again. Feast answers with protocol buffers, of which `to_dict` makes lists; Octavo with arrays
that also say the age and status of each value.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from environment import feast_python, feast_version
from peers import Answer, Peer

from octavo.clock import from_micros

COLUMNS = [f"v{number}" for number in range(50)]
START_US, SPAN_US = 1_700_000_000_000_000, 20 * 86_400_000_000
TTL_DAYS = 30
PART = 20
FEW = 200

Requests = list[list[int]]


def main() -> None:
    asked = arguments()
    print(feast_version())
    with (
        tempfile.TemporaryDirectory() as folder,
        running_redis(folder) as port,
        Peer(Path(sys.executable), "octavo_online.py") as octavo,
        Peer(feast_python(), "feast_online.py") as feast,
    ):
        write_events(Path(folder), users=asked.users, each=asked.events_per_user)
        until = from_micros(START_US + SPAN_US).isoformat()
        settings = {"folder": folder, "redis_port": port, "columns": COLUMNS, "ttl_days": TTL_DAYS, "until": until}
        sizes = octavo.ask("prepare", **settings)["state_bytes"]
        print(f"bytes of an entity's state: {sizes['latest']:,.0f} (latest), {sizes['windows']:,.0f} (windows)")
        feast.ask("prepare", **settings)
        actions: dict[str, Callable[[Requests], Answer]] = {
            "Feast, Redis": lambda requests: feast.ask("read", requests=requests),
            "Octavo, Redis, latest": lambda r: octavo.ask("read", store="redis", view="latest", requests=r),
            "Octavo, Redis, windows": lambda r: octavo.ask("read", store="redis", view="windows", requests=r),
            "by hand, Redis": lambda r: octavo.ask("floor", store="redis", requests=r),
            "Octavo, LMDB, latest": lambda r: octavo.ask("read", store="lmdb", view="latest", requests=r),
            "Octavo, LMDB, windows": lambda r: octavo.ask("read", store="lmdb", view="windows", requests=r),
            "by hand, LMDB": lambda r: octavo.ask("floor", store="lmdb", requests=r),
        }
        check_equal(actions, users=asked.users)
        for size in (1, 100):
            for title, users in (("each new", asked.users), (f"{FEW} again and again", FEW)):
                print(f"{size} in a request, {title}: median and 99th percentile, CPU of the caller, microseconds")
                report(measured(actions, size=size, users=users, count=asked.requests // (1 if size == 1 else 3)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--events-per-user", type=int, default=10)
    parser.add_argument("--requests", type=int, default=300, help="of one user; a third as many of 100")
    return parser.parse_args()


@contextmanager
def running_redis(folder: str) -> Iterator[int]:
    """The port of a redis-server that keeps nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    program = shutil.which("redis-server") or sys.exit("this needs redis-server")
    command = [program, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        time.sleep(1)
        yield port
        process.kill()


def write_events(folder: Path, *, users: int, each: int) -> None:
    random, n = np.random.default_rng(1), users * each
    happened = START_US + random.permutation(n) * (SPAN_US // n)
    values = {column: random.normal(size=n) for column in COLUMNS}
    user = np.tile(np.arange(users), each)
    table = {"user": user, "happened": pa.array(happened, pa.timestamp("us", tz="UTC")), **values}
    pq.write_table(pa.table(table), folder / "events.parquet")


def check_equal(actions: dict[str, Callable[[Requests], Answer]], *, users: int) -> None:
    """Feast's and Octavo's latest values of some users, to the precision of float32."""
    asked = [list(range(0, users, max(users // 100, 1)))]
    feast, redis, lmdb = (actions[name](asked)["values"] for name in (*list(actions)[:2], "Octavo, LMDB, latest"))
    np.testing.assert_array_equal(np.array(feast, np.float32), np.array(redis, np.float32))
    np.testing.assert_array_equal(np.array(redis), np.array(lmdb))
    print(f"equal for all {len(asked[0])} users compared")


def measured(
    actions: dict[str, Callable[[Requests], Answer]], *, size: int, users: int, count: int
) -> dict[str, tuple[list[float], float]]:
    """Microseconds of each request and of CPU on average; `PART` requests by one, then as many by the next."""
    order = np.random.default_rng(size).permutation(users)
    spent: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in actions}
    if users == FEW:
        for action in actions.values():
            action([order.tolist()])
    for part in range(0, count, PART):
        requests = [[int(order[(n * size + k) % users]) for k in range(size)] for n in range(part, part + PART)]
        for name, action in actions.items():
            done = action(requests)
            spent[name][0].extend(done["each_us"])
            spent[name][1].append(1e6 * done["cpu_s"] / PART)
    return {name: (each, median(cpu)) for name, (each, cpu) in spent.items()}


def report(spent: dict[str, tuple[list[float], float]]) -> None:
    middle = {name: median(each) for name, (each, _) in spent.items()}
    for name, (each, cpu_us) in spent.items():
        store = name.split(", ")[1]
        ratios = [f"{middle[name] / middle[f'by hand, {store}']:.2f} of by hand"] if name.startswith("Octavo") else []
        if name.startswith("Octavo, Redis"):
            ratios.append(f"Feast takes {middle['Feast, Redis'] / middle[name]:.1f} times as long")
        line = f"  {name:24} {middle[name]:9,.0f} {np.percentile(each, 99):9,.0f} {cpu_us:9,.0f}"
        print("   ".join([line, *ratios]))


if __name__ == "__main__":
    main()
