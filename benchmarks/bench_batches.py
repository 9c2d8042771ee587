"""Many rows in a request: the predictor by each of its doors against MLflow, with the log on.

Rows of JSON, tensors of the Open Inference Protocol as JSON and as bytes, and Arrow (numbers of 64 bits and texts
written out, or numbers of 32 bits and dictionaries), in requests of 1,000 and of 100 rows; MLflow by
``dataframe_split``. All rows of all requests differ (see credit.py). The predictor and MLflow have the same fitted
estimator and one core, take turns, and their answers are checked against the estimator's first.

    python benchmarks/bench_batches.py [--models linear catboost_numbers] [--rows 1000 100] [--no-peers] [--seconds 2]
        [--rounds 3] [--connections 4] [--json FILE]
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
from contest import Contender, keep, report, take_turns
from doors import ARROWS, BINARY, COLUMNS, ROWS, SMALL_ARROWS
from lender import Lender, make_lender
from peers.contenders import PEERS
from peers.environments import python_of, versions_of
from tensors import Row

from servers import divide_cores, predictor

MLFLOW = next(peer for peer in PEERS if peer.name == "MLflow")
REQUESTS = 5


def main(asked: argparse.Namespace) -> None:
    core = divide_cores()
    if not asked.no_peers:
        python_of(MLFLOW.environment)
        print(f"{MLFLOW.name}: {versions_of(MLFLOW.environment)}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        root.mkdir()
        lender = make_lender(root, asked.models)
        for model in asked.models:
            lender.publish(model)
        documents = [
            document
            for model in asked.models
            for n_rows in asked.rows
            for document in compare(lender, model, asked, n_rows=n_rows, core=core)
        ]
    keep(asked.json, documents)


def compare(lender: Lender, model: str, asked: argparse.Namespace, *, n_rows: int, core: int) -> list[dict[str, Any]]:
    """Let the doors and MLflow take turns with requests of a size."""
    table = credit.requests(n_rows * REQUESTS).select(list(credit.TRAININGS[model][1]))
    batches: list[Sequence[Row]] = [
        table.slice(start, n_rows).to_pylist() for start in range(0, n_rows * REQUESTS, n_rows)
    ]
    estimator = lender.estimators[model]
    expected = [np.asarray(estimator.predict_proba(pd.DataFrame(rows)))[:, 1].tolist() for rows in batches]
    with ExitStack() as running:
        server = running.enter_context(predictor(lender.root, core=core))
        contenders = [
            Contender(
                name=door.name,
                server=server,
                requests=[door.request(lender.token, model, rows) for rows in batches],
                read=door.read,
            )
            for door in (ROWS, COLUMNS, BINARY, ARROWS, SMALL_ARROWS)
        ]
        if not asked.no_peers:
            folder = lender.root.parent / f"{model}-{n_rows}"
            peer = running.enter_context(MLFLOW.serving(model, estimator, batches[0], folder=folder, core=core))
            requests = [MLFLOW.request(model, rows) for rows in batches]
            contenders.append(Contender(name=MLFLOW.name, server=peer, requests=requests, read=MLFLOW.read))
        for contender in contenders:
            contender.check(expected)
        results = take_turns(contenders, seconds=asked.seconds, rounds=asked.rounds, connections=asked.connections)
    return report(f"{model}, {n_rows:,} rows", results, ours=ROWS.name, per_request=n_rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Requests for many predictions: Octavo's doors, and MLflow.")
    parser.add_argument("--models", nargs="+", default=["linear", "catboost_numbers"], choices=list(credit.TRAININGS))
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 100], help="rows in a request")
    parser.add_argument("--no-peers", action="store_true", help="without MLflow")
    parser.add_argument("--seconds", type=float, default=2, help="of load in a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--json", type=Path, help="where to keep what was measured")
    main(parser.parse_args())
