"""The verdict of each of a model's gates."""

from collections.abc import Callable
from typing import Any

from octavo.definitions.gates import (
    AtLeast,
    AtMost,
    BetterOnLog,
    BetterThanBaseline,
    BetterThanChampion,
    DataChecks,
    Fair,
    Fast,
    Gate,
    NoSkew,
    NoWorseOn,
    Replays,
    Small,
)
from octavo.registry.gates.candidates import Candidate, Verdict
from octavo.registry.gates.data import check_data
from octavo.registry.gates.fairness import compare_groups
from octavo.registry.gates.footprint import measure_size, measure_time
from octavo.registry.gates.log import backtest, compare_replayed, look_for_skew
from octavo.registry.gates.metrics import above, against_baselines, against_champion, below
from octavo.registry.gates.slices import compare_slices
from octavo.registry.versions import GateResult

_JUDGES: dict[type[Gate], Callable[[Any, Candidate], Verdict]] = {
    AtMost: below,
    AtLeast: above,
    BetterThanBaseline: against_baselines,
    BetterThanChampion: against_champion,
    NoWorseOn: compare_slices,
    Fair: compare_groups,
    Fast: measure_time,
    Small: measure_size,
    NoSkew: look_for_skew,
    Replays: compare_replayed,
    BetterOnLog: backtest,
    DataChecks: check_data,
}


def judge(candidate: Candidate) -> tuple[GateResult, ...]:
    """How each gate judges a candidate, in the order of their declaration."""
    return tuple(_judge(gate, candidate) for gate in candidate.trained.model.gates)


def _judge(gate: Gate, candidate: Candidate) -> GateResult:
    found = _JUDGES[type(gate)](gate, candidate)
    evidence = found.evidence
    if found.passed is None:
        evidence = f"not judged: {evidence}" + ("" if gate.needed else "; the project does not need it")
    return GateResult(
        gate=gate.name,
        passed=not gate.needed if found.passed is None else found.passed,
        evidence=evidence,
        numbers=found.finite,
        judged=found.passed is not None,
    )
