"""A version swapped under load: requests that fail, and the slowest ones while it happens against before.

The predictor is loaded without a pause, in turns of seconds. In every other turn a new signed manifest is published by
which the other of two versions serves the deployment (trained on other days), so the predictor fetches a bundle,
verifies it, loads it, replays its golden rows, warms it and swaps. At the end of such a turn the other version must
answer.

    python benchmarks/bench_swap.py [--models linear catboost_numbers] [--seconds 2] [--rounds 10] [--connections 32]
        [--json FILE]
"""

import argparse
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import credit
import msgspec
from contest import keep
from doors import ROWS
from lender import Lender, make_lender
from load import Borne, Server, drive, one_answer

from servers import divide_cores, predictor


def main(asked: argparse.Namespace) -> None:
    core = divide_cores()
    with tempfile.TemporaryDirectory() as folder:
        lender = make_lender(Path(folder), asked.models)
        versions = {
            model: (lender.publish(model, version=2), lender.publish(model, version=3)) for model in asked.models
        }
        with predictor(lender.root, core=core) as server:
            documents = [swap_back_and_forth(lender, server, model, versions[model], asked) for model in asked.models]
    keep(asked.json, documents)


def swap_back_and_forth(
    lender: Lender, server: Server, model: str, digests: Sequence[str], asked: argparse.Namespace
) -> dict[str, Any]:
    """Turns without a swap and turns with one, and what the difference is."""
    rows = credit.requests().select(list(credit.TRAININGS[model][1])).to_pylist()
    requests = [ROWS.request(lender.token, model, [row]) for row in rows]
    quiet, swapped = [], []
    drive(server, requests, seconds=1, connections=asked.connections)
    for number in range(asked.rounds):
        quiet.append(drive(server, requests, seconds=asked.seconds, connections=asked.connections))
        version, digest = 2 + number % 2, digests[number % 2]
        publishing = threading.Timer(
            asked.seconds / 4,
            lender.swap,
            args=(model,),
            kwargs={"version": version, "digest": digest, "sequence": 10 + number},
        )
        publishing.start()
        swapped.append(drive(server, requests, seconds=asked.seconds, connections=asked.connections))
        publishing.join()
        assert version_of(one_answer(server, requests[0])) == version, "the version was not swapped in time"
    return describe(model, quiet, swapped)


def describe(model: str, quiet: Sequence[Borne], swapped: Sequence[Borne]) -> dict[str, Any]:
    before_ms, during_ms = (median(one.p99_ms for one in turns) for turns in (quiet, swapped))
    times = median(after.p99_ms / before.p99_ms for before, after in zip(quiet, swapped, strict=True))
    failed = sum(one.failed for one in (*quiet, *swapped))
    print(
        f"{model}: {len(swapped)} swaps at {median(one.per_s for one in quiet):,.0f} requests/s, {failed} failed; p99 "
        f"{before_ms:.2f} ms in turns without a swap, {during_ms:.2f} ms in turns with one: {times:.2f} times as long; "
        f"longest {max(one.longest_ms for one in quiet):.1f} and {max(one.longest_ms for one in swapped):.1f} ms"
    )
    return {
        "what": f"{model}, swap",
        "swaps": len(swapped),
        "failed": failed,
        "p99_ms_without": before_ms,
        "p99_ms_with": during_ms,
        "times": times,
    }


def version_of(body: bytes) -> int:
    [prediction] = msgspec.json.decode(body)["predictions"]
    version: int = prediction["version"]
    return version


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Swaps of versions under load.")
    parser.add_argument("--models", nargs="+", default=["linear", "catboost_numbers"], choices=list(credit.TRAININGS))
    parser.add_argument("--seconds", type=float, default=2, help="of load in a turn")
    parser.add_argument("--rounds", type=int, default=10, help="turns with a swap")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", type=Path, help="where to keep what was measured")
    main(parser.parse_args())
