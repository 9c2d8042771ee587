"""Whether groups of held-out rows are treated alike.

The rate of each group is compared with that of each other. The interval of a difference of two rates is the wider of
two: Agresti and Caffo's (The American Statistician 54, 2000), which holds also for few rows and rates near 0 or 1, and
the normal one with the standard error of the block bootstrap, because neighbouring rows err alike. All pairs together
have the gate's confidence (Bonferroni), since the pair that lies furthest apart is sought.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from octavo.definitions.gates import FAIR_TO_NUMBERS, Fair, Fairness
from octavo.registry.gates.candidates import Candidate, Floats, Verdict
from octavo.training.evaluation import means_of_groups
from octavo.training.slicing import Cut, cut

_MOST_NUMBERS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Group:
    """Rows of one value of the attribute, those of them that count.

    Attributes
    ----------
    draws : ndarray, shape (n_draws,)
        The rate of each draw, the first being the rate itself.
    """

    cut: Cut
    rows: int
    draws: Floats

    @property
    def rate(self) -> float:
        return float(self.draws[0])

    def __str__(self) -> str:
        return f"{self.rate:.4g} where {self.cut.name} ({self.rows:,} rows)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two groups, the one with the higher rate first, and how far they may lie apart."""

    higher: _Group
    lower: _Group
    low: float
    high: float

    @property
    def apart(self) -> float:
        return self.higher.rate - self.lower.rate


def compare_groups(gate: Fair, candidate: Candidate) -> Verdict:
    """Whether no two groups differ by more than the bound."""
    data = candidate.trained.training_set
    if data.watched is None:
        return Verdict(passed=None, evidence="the held-out rows were not kept by their columns")
    cuts = cut(data.watched, [gate.attribute])
    values, counted = _counted(gate, labels=data.holdout.y, predictions=candidate.predictions)
    groups = _groups(gate, cuts, values, counted)
    if len(groups) < 2:
        return Verdict(
            passed=None,
            evidence=f"{len(groups)} of {len(cuts)} groups have {gate.min_rows:,} rows that count, and two are needed",
            numbers={"groups": len(groups)},
        )
    furthest = max(_pairs(gate, groups), key=lambda pair: pair.apart if gate.confidence is None else pair.high)
    deciding = furthest.apart if gate.confidence is None else furthest.high
    few = f"; {len(cuts) - len(groups)} of fewer than {gate.min_rows:,} rows were not judged"
    sure = "" if gate.confidence is None else f" ({furthest.low:.4g} to {furthest.high:.4g})"
    return Verdict(
        passed=deciding <= gate.within,
        evidence=(
            f"{gate.of} is {furthest.higher} and {furthest.lower}: {furthest.apart:.4g}{sure} apart, the furthest of "
            f"{len(groups)} groups{few if len(cuts) > len(groups) else ''}; the bound is {gate.within:g}"
        ),
        numbers={f"{gate.of}[{group.cut.value}]": group.rate for group in groups[:_MOST_NUMBERS]}
        | {"difference": furthest.apart, "difference_low": furthest.low, "difference_high": furthest.high}
        | {"groups": len(groups), "bound": gate.within},
    )


def _counted(gate: Fair, *, labels: Floats, predictions: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What is averaged over rows, and over which."""
    everyone = np.ones(len(labels), np.bool_)
    if gate.of in FAIR_TO_NUMBERS:
        off = predictions - labels
        return (off if gate.of is Fairness.BIAS else np.abs(off)), everyone
    chosen, positive = predictions >= gate.threshold, labels > 0
    values, counted = {
        Fairness.SELECTION_RATE: (chosen, everyone),
        Fairness.TPR: (chosen, positive),
        Fairness.FPR: (chosen, ~positive),
        Fairness.PRECISION: (positive, chosen),
        Fairness.ACCURACY: (chosen == positive, everyone),
    }[gate.of]
    return values.astype(np.float64), counted


def _groups(gate: Fair, cuts: Sequence[Cut], values: Floats, counted: npt.NDArray[np.bool_]) -> list[_Group]:
    chosen = [(one, rows) for one in cuts if (rows := int((one.chosen & counted).sum())) >= gate.min_rows]
    draws = means_of_groups(values, [one.chosen & counted for one, _ in chosen])
    return [_Group(cut=one, rows=rows, draws=draws[:, place]) for place, (one, rows) in enumerate(chosen)]


def _pairs(gate: Fair, groups: Sequence[_Group]) -> list[_Pair]:
    n_pairs = len(groups) * (len(groups) - 1) // 2
    z = NormalDist().inv_cdf(1 - (1 - (gate.confidence or 0.95)) / (2 * n_pairs))
    return [_pair(*sorted(two, key=lambda group: -group.rate), z=z, of=gate.of) for two in combinations(groups, 2)]


def _pair(higher: _Group, lower: _Group, *, z: float, of: Fairness) -> _Pair:
    apart = higher.rate - lower.rate
    reach = z * float(np.nanstd((higher.draws - lower.draws)[1:]))
    low, high = apart - reach, apart + reach
    if of not in FAIR_TO_NUMBERS:
        least, most = agresti_caffo(
            (round(higher.rate * higher.rows), higher.rows), (round(lower.rate * lower.rows), lower.rows), z=z
        )
        low, high = max(min(low, least), -1.0), min(max(high, most), 1.0)
    return _Pair(higher=higher, lower=lower, low=low, high=high)


def agresti_caffo(first: tuple[int, int], second: tuple[int, int], *, z: float) -> tuple[float, float]:
    """The interval of the difference of two shares, each given as how many of how many."""
    shares = [((of + 1) / (rows + 2), rows + 2) for of, rows in (first, second)]
    apart = shares[0][0] - shares[1][0]
    reach = z * math.sqrt(sum(share * (1 - share) / rows for share, rows in shares))
    return apart - reach, apart + reach
