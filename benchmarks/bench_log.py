"""What the record of each prediction costs: the log off, ``fast`` and ``durable``, in turns.

Off is the same predictor with a recorder that keeps nothing, which no setting allows; it is made here, by this file run
as a program of its own. Durable answers once the record is on disk, so what it costs is the disk's to say: it is
measured with more connections too, since those that wait share a flush.

    python benchmarks/bench_log.py [--models linear] [--rows 1 1000] [--seconds 2] [--rounds 5] [--connections 32 256]
        [--json FILE]
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import credit
from contest import Contender, keep, report, take_turns
from doors import ROWS
from lender import make_lender

from servers import divide_cores, predictor

SETTINGS = {
    "off": "grpc_port = 0",
    "fast": 'grpc_port = 0\nlog = "fast"',
    "durable": 'grpc_port = 0\nlog = "durable"',
}


def main(asked: argparse.Namespace) -> None:
    core = divide_cores()
    documents = [document for model in asked.models for document in compare(model, asked, core=core)]
    keep(asked.json, documents)


def compare(model: str, asked: argparse.Namespace, *, core: int) -> list[dict[str, Any]]:
    """A predictor for each mode, each with a project of its own."""
    table = credit.requests().select(list(credit.TRAININGS[model][1]))
    with ExitStack() as running:
        served = {}
        for mode in SETTINGS:
            root = Path(running.enter_context(tempfile.TemporaryDirectory()))
            lender = make_lender(root, [model], predictor=SETTINGS[mode])
            lender.publish(model)
            program = (str(Path(__file__).resolve()), "--unlogged") if mode == "off" else ("-m", "octavo.serving")
            served[mode] = lender.token, running.enter_context(predictor(root, core=core, program=program))
        documents = []
        for n_rows in asked.rows:
            batches = [table.slice(start, n_rows).to_pylist() for start in range(0, len(table), n_rows)]
            contenders = [
                Contender(name=f"log {mode}", server=server, requests=[ROWS.request(token, model, b) for b in batches])
                for mode, (token, server) in served.items()
            ]
            for connections in asked.connections[: None if n_rows == 1 else 1]:  # more only wait in a longer queue
                results = take_turns(contenders, seconds=asked.seconds, rounds=asked.rounds, connections=connections)
                title = f"{model}, {n_rows:,} rows, {connections} connections"
                documents += report(title, results, ours="log off", per_request=n_rows)
    return documents


def serve_unlogged() -> None:
    """The predictor, whose records go nowhere."""
    from octavo.serving.process import main as serve
    from octavo.serving.recorder import Recorder

    Recorder.record = lambda self, blocks: True  # type: ignore[method-assign]  # what this is here for
    raise SystemExit(serve())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predictions with and without their records.")
    parser.add_argument("--models", nargs="+", default=["linear"], choices=list(credit.TRAININGS))
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 1_000], help="rows in a request")
    parser.add_argument("--seconds", type=float, default=2, help="of load in a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--connections", nargs="+", type=int, default=[32, 256])
    parser.add_argument("--json", type=Path, help="where to keep what was measured")
    parser.add_argument("--unlogged", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.unlogged:
        serve_unlogged()
    else:
        main(given)
