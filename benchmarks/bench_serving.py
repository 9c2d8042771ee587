"""The predictor with features that it looks up, its log on, against the same HTTP server that answers a constant.

Both servers run on one core and are asked in turns from another. The model has 43 inputs (40 features of 4 entities, 2
computed, 1 sent) and 200 trees; `bench_lookup.py` says what of it the lookup costs, and `bench_serving_peers.py` what a
request without one costs, here and elsewhere. Compare the processor time: other work on the machine changes it little.

    python benchmarks/bench_serving.py [--rows 1 100] [--seconds 2] [--rounds 3] [--connections 16] [--json FILE]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import airline
import msgspec
from contest import Contender, keep, report, take_turns
from load import one_answer, post
from published import make_project

from octavo.clock import from_micros
from servers import constant, divide_cores, predictor

REQUESTS = 500


def main(asked: argparse.Namespace) -> None:
    core = divide_cores()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        token = make_project(root, flights=40_000)
        documents = [document for rows in asked.rows for document in compare(root, token, asked, rows=rows, core=core)]
    keep(asked.json, documents)


def compare(root: Path, token: str, asked: argparse.Namespace, *, rows: int, core: int) -> list[dict[str, Any]]:
    requests = [request(token, number, rows=rows) for number in range(REQUESTS)]
    with predictor(root, core=core) as ours:
        body = one_answer(ours, requests[0])
        assert b'"degraded"' not in body
        with constant(body, core=core) as plain:
            contenders = [Contender(name=one.name, server=one, requests=requests) for one in (ours, plain)]
            results = take_turns(contenders, seconds=asked.seconds, rounds=asked.rounds, connections=asked.connections)
    return report(f"{rows} rows with features of 4 entities", results, ours=ours.name, per_request=rows)


def request(token: str, number: int, *, rows: int) -> bytes:
    at = from_micros(airline.START + 40 * airline.DAY + number * airline.SECOND).isoformat()
    sent = [{**airline.keys_of(number * rows + row), "departed": at, "distance": 500.0 + row} for row in range(rows)]
    return post("/predict/eta", msgspec.json.encode({"rows": sent}), authorization=f"Bearer {token}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Requests to a predictor against requests for a constant.")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 100], help="rows in a request")
    parser.add_argument("--seconds", type=float, default=2, help="of load in a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=Path, help="where to keep what was measured")
    main(parser.parse_args())
