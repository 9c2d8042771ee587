"""Gates on what a version costs: the bundle's size, and the time that its model takes, both as packed."""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from octavo.definitions.gates import Fast, Small
from octavo.definitions.plans import decode_plan
from octavo.registry.bundles import PLAN, decode_manifest
from octavo.registry.gates.candidates import Candidate, Verdict
from octavo.registry.jail.opening import Jail
from octavo.registry.served import Outputs, open_served
from octavo.stores.ports import Artifacts

_ROUNDS, _ROUND_S, _LEAST_CALLS, _MOST_CALLS, _BEFORE = 3, 0.15, 100, 2_000, 20
_BATCHES = 64
_NOT_PACKED = "there is no packed bundle"


def measure_size(gate: Small, candidate: Candidate) -> Verdict:
    """Whether all files of the bundle together are small enough."""
    if candidate.artifacts is None:
        return Verdict(passed=None, evidence=_NOT_PACKED)
    data = candidate.artifacts.get(candidate.digest)
    manifest = decode_manifest(data, digest=candidate.digest)
    size = len(data) + sum(entry.size_bytes for entry in manifest.files.values())
    largest = max(manifest.files, key=lambda name: manifest.files[name].size_bytes)
    return Verdict(
        passed=size <= gate.size_bytes,
        evidence=(
            f"the bundle has {size:,} bytes in {len(manifest.files)} files, of which {largest} is the largest "
            f"({manifest.files[largest].size_bytes:,}); the bound is {gate.size_bytes:,}"
        ),
        numbers={"bytes": size, "bound": gate.size_bytes},
    )


def measure_time(gate: Fast, candidate: Candidate) -> Verdict:
    """Whether the model answers soon enough, in the form in which it is served."""
    if candidate.artifacts is None:
        return Verdict(passed=None, evidence=_NOT_PACKED)
    outputs = _opened(candidate.artifacts, candidate.digest, candidate.jail)
    with np.errstate(over="ignore"):
        rows = candidate.trained.training_set.holdout.X.astype(np.float32)
    took_us, calls = slowest_of_a_hundred_us(outputs, rows, n_rows=gate.rows)
    of = "a row" if gate.rows == 1 else f"{gate.rows:,} rows"
    return Verdict(
        passed=took_us <= gate.p99_us,
        evidence=(
            f"{of} took {took_us:.4g} us at the 99th percentile of {calls:,} calls, in the quietest of {_ROUNDS} "
            f"rounds on the machine that trained; the bound is {gate.p99_us:g}"
        ),
        numbers={"p99_us": took_us, "bound": gate.p99_us, "calls": calls},
    )


def slowest_of_a_hundred_us(
    outputs: Outputs,
    rows: npt.NDArray[np.float32],
    *,
    n_rows: int,
    timer: Callable[[], float] = time.perf_counter,
) -> tuple[float, int]:
    """The 99th percentile of what calls take, in the quietest of three rounds: other work on the machine only adds.

    Parameters
    ----------
    rows : ndarray, shape (at least 1, n_inputs)
        Of which each call is given some.

    Returns
    -------
    took_us : float
    calls : int
        In a round.
    """
    drawn = np.random.default_rng(0).integers(len(rows), size=(_BATCHES, n_rows))
    batches = [np.ascontiguousarray(rows[chosen]) for chosen in drawn]
    for batch in batches[:_BEFORE]:
        outputs(batch)
    rounds = [_round(outputs, batches, timer=timer) for _ in range(_ROUNDS)]
    return min(float(np.quantile(took, 0.99)) for took in rounds) * 1e6, min(map(len, rounds))


def _round(outputs: Outputs, batches: list[npt.NDArray[np.float32]], *, timer: Callable[[], float]) -> list[float]:
    took: list[float] = []
    until = timer() + _ROUND_S
    while len(took) < _MOST_CALLS and (len(took) < _LEAST_CALLS or timer() < until):
        started = timer()
        outputs(batches[len(took) % len(batches)])
        took.append(timer() - started)
    return took


def _opened(artifacts: Artifacts, digest: str, jail: Jail | None) -> Outputs:
    manifest = decode_manifest(artifacts.get(digest), digest=digest)
    plan = decode_plan(artifacts.get(manifest.files[PLAN].digest))
    return open_served(manifest, plan, read=lambda name: artifacts.get(manifest.files[name].digest), jail=jail).predict
