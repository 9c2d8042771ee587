"""One row in a request, over REST, with the log on: the predictor against its peers and against its own HTTP server.

Every server has the same fitted estimator (see credit.py) and one core; the load comes from another. They are asked
about 5,000 rows that differ, in turns, and their answers are checked against the estimator's first. A peer is given its
best chance: one process, no log per request, what its own documentation recommends; the newest version is installed
into an environment of its own below `.peers` at the first run, which takes minutes and some GB.

What has the same content has the same form: values beside their names. Where all are numbers the servers of the Open
Inference Protocol also take a tensor without names, which is less to read; that is measured beside it.

    python benchmarks/bench_serving_peers.py [--models linear ...] [--no-peers] [--seconds 2] [--rounds 3]
        [--connections 32] [--json FILE]
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import credit
import numpy as np
import pandas as pd
from contest import CHECKED, Contender, keep, report, take_turns
from doors import BARE, COLUMNS, ROWS
from lender import Lender, make_lender
from load import one_answer
from peers.contenders import PEERS
from peers.environments import python_of, versions_of
from tensors import Row, are_numbers

from servers import constant, divide_cores, predictor


def main(asked: argparse.Namespace) -> None:
    core, peers = divide_cores(), () if asked.no_peers else PEERS
    for peer in peers:
        python_of(peer.environment)
        print(f"{peer.name}: {versions_of(peer.environment)}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        root.mkdir()
        lender = make_lender(root, asked.models)
        for model in asked.models:
            lender.publish(model)
        documents = [
            document for model in asked.models for document in compare(lender, model, asked, peers=peers, core=core)
        ]
    keep(asked.json, documents)


def compare(
    lender: Lender, model: str, asked: argparse.Namespace, *, peers: Sequence[Any], core: int
) -> list[dict[str, Any]]:
    """Let all servers of one model take turns."""
    rows: list[Row] = credit.requests().select(list(credit.TRAININGS[model][1])).to_pylist()
    estimator = lender.estimators[model]
    expected = [[value] for value in np.asarray(estimator.predict_proba(pd.DataFrame(rows[:CHECKED])))[:, 1]]
    with ExitStack() as running:
        contenders = ours(lender, model, rows, core=core, running=running)
        for peer in peers:
            folder = lender.root.parent / f"{peer.environment}-{model}"
            server = running.enter_context(peer.serving(model, estimator, rows, folder=folder, core=core))
            requests = [peer.request(model, [row]) for row in rows]
            contenders.append(Contender(name=peer.name, server=server, requests=requests, read=peer.read))
            if peer.bare is not None and are_numbers(rows):
                bare, name = [peer.bare(model, [row]) for row in rows], f"{peer.name}, one tensor"
                contenders.append(Contender(name=name, server=server, requests=bare, read=peer.read))
        for contender in contenders:
            contender.check(expected)
        results = take_turns(contenders, seconds=asked.seconds, rounds=asked.rounds, connections=asked.connections)
    return report(f"{model}, one row", results, ours=ROWS.name)


def ours(lender: Lender, model: str, rows: Sequence[Row], *, core: int, running: ExitStack) -> list[Contender]:
    """The predictor by its doors for JSON, and the constant answer, which is the first one's."""
    server = running.enter_context(predictor(lender.root, core=core))
    by_door = [
        Contender(
            name=door.name,
            server=server,
            requests=[door.request(lender.token, model, [row]) for row in rows],
            read=door.read,
        )
        for door in (ROWS, COLUMNS, *([BARE] if are_numbers(rows) else []))
    ]
    requests = by_door[0].requests
    plain = running.enter_context(constant(one_answer(server, requests[0]), core=core))
    return [*by_door, Contender(name=plain.name, server=plain, requests=requests)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Requests for one prediction: Octavo and its peers.")
    parser.add_argument("--models", nargs="+", default=list(credit.TRAININGS), choices=list(credit.TRAININGS))
    parser.add_argument("--no-peers", action="store_true", help="only the predictor and its own HTTP server")
    parser.add_argument("--seconds", type=float, default=2, help="of load in a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", type=Path, help="where to keep what was measured")
    main(parser.parse_args())
