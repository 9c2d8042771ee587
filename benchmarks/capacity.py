"""How many cores a stream of predictions takes, worked out from what one prediction was measured to cost.

    python benchmarks/bench_serving_peers.py --json single.json
    python benchmarks/bench_batches.py --rows 100 --json batches.json
    python benchmarks/capacity.py single.json batches.json [--rates 1000000 6800000] [--load 0.6]

A core has a million microseconds of processor time a second, so a stream takes its rate times the cost of a prediction.
Nobody runs cores at their limit: `--load` is how much of each is to be used at the peak, and what cores are divided by.
What is not in it: the lookup of features, TLS, and the network. Servers share nothing, so cores add up, on one machine
as on many, as far as the machine gives each core what it gave the one that was measured.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any


def main(asked: argparse.Namespace) -> None:
    measured = [document for path in asked.files for document in json.loads(path.read_text(encoding="utf-8"))]
    rates = "".join(f" cores for {rate:,}/s |" for rate in asked.rates)
    print(f"| request | server | CPU of a prediction |{rates}")
    print("|---|---|---|" + "---|" * len(asked.rates))
    for document in measured:
        print(line(document, asked.rates, load=asked.load))


def line(measured: Mapping[str, Any], rates: Sequence[int], *, load: float) -> str:
    """A line of the table."""
    cost_us = measured["cpu_us_of_a_prediction"]
    needed = "".join(f" {cores(rate, cost_us=cost_us, load=load):,} |" for rate in rates)
    return f"| {measured['what']} | {measured['server']} | {cost_us:,.2f} µs |{needed}"


def cores(rate: float, *, cost_us: float, load: float) -> int:
    """Whole cores for a rate of predictions per second, each used as far as `load`."""
    return ceil(rate * cost_us / 1e6 / load)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Cores for rates of predictions.")
    parser.add_argument("files", nargs="+", type=Path, help="what the benchmarks kept by --json")
    parser.add_argument("--rates", nargs="+", type=int, default=[1_000_000, 6_800_000], help="predictions per second")
    parser.add_argument("--load", type=float, default=0.6, help="how much of a core is used")
    main(parser.parse_args())
