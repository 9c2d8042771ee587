"""No worse than the live version on any slice of the held-out rows.

A slice is found worse if chance does not explain it, with the chance of any false finding among all slices bounded as
in Holm, Scandinavian Journal of Statistics 6, 1979. So many slices do not make a gate that nothing passes, and what no
row can show is not held against a version.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from octavo.definitions.gates import NoWorseOn
from octavo.errors import InvalidRequest
from octavo.registry.gates.candidates import NO_CHAMPION, Candidate, Floats, Verdict
from octavo.training.evaluation import difference_and_error
from octavo.training.metrics import metric
from octavo.training.slicing import Cut, cut

_MOST_NAMED, _MOST_NUMBERS = 3, 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Compared:
    """A slice on which both versions were judged.

    Attributes
    ----------
    worse : float
        By how much the candidate is worse; below 0 if it is better.
    chance : float
        The probability of seeing that or more if it were worse by no more than allowed.
    """

    cut: Cut
    worse: float
    error: float
    chance: float

    def __str__(self) -> str:
        return f"{self.cut.name} ({self.cut.rows:,} rows) by {self.worse:.4g}"


def compare_slices(gate: NoWorseOn, candidate: Candidate) -> Verdict:
    """Whether the candidate is surely worse somewhere."""
    champion, rows = candidate.champion, candidate.trained.training_set.watched
    if champion is None:
        return Verdict(passed=True, evidence=NO_CHAMPION)
    if champion.predictions is None:
        return Verdict(passed=None, evidence=champion.why)
    if rows is None:
        return Verdict(passed=None, evidence="the held-out rows were not kept by their columns")
    cuts = cut(rows, gate.of)
    compared = [
        one
        for each in cuts
        if each.rows >= gate.min_rows and (one := _compare(gate, each, candidate, theirs=champion.predictions))
    ]
    left_out = len(cuts) - len(compared)
    if not compared:
        return Verdict(
            passed=None,
            evidence=f"none of {len(cuts)} slices has {gate.min_rows:,} rows on which {gate.metric} is defined",
        )
    worse = _surely_worse(compared, level=1 - gate.confidence)
    least = max(compared, key=lambda one: one.worse)
    few = f"; {left_out} of fewer than {gate.min_rows:,} rows were not judged" if left_out else ""
    against = f"version {champion.version.version} by {gate.metric}"
    if worse:
        named = ", ".join(map(str, worse[:_MOST_NAMED]))
        more = f" and {len(worse) - _MOST_NAMED} more" if len(worse) > _MOST_NAMED else ""
        said = f"worse than {against} on {named}{more}, of {len(compared)} slices{few}"
    else:
        said = f"on none of {len(compared)} slices surely worse than {against}; the least sure is {least}{few}"
    numbers = {f"worse[{one.cut.name}]": one.worse for one in compared[:_MOST_NUMBERS]}
    return Verdict(
        passed=not worse,
        evidence=said,
        numbers=numbers | {"slices": len(compared), "not_judged": left_out, "allowed": gate.by},
    )


def _compare(gate: NoWorseOn, each: Cut, candidate: Candidate, *, theirs: Floats) -> _Compared | None:
    """None where the metric is undefined."""
    judged = metric(gate.metric, task=candidate.trained.model.task)
    labels, chosen = candidate.trained.training_set.holdout.y, each.chosen
    try:
        apart, error = difference_and_error(
            labels[chosen], ours=candidate.predictions[chosen], theirs=theirs[chosen], metric=judged
        )
    except InvalidRequest:
        return None
    worse = -apart if judged.higher_is_better else apart
    return _Compared(cut=each, worse=worse, error=error, chance=_chance(worse - gate.by, error))


def _chance(beyond: float, error: float) -> float:
    if error <= 0 or not math.isfinite(error):
        return 0.0 if beyond > 0 else 1.0
    return 1 - NormalDist().cdf(beyond / error)


def _surely_worse(compared: Sequence[_Compared], *, level: float) -> list[_Compared]:
    """Holm's step-down: the least likely first, each against what is left of the level."""
    found: list[_Compared] = []
    for place, one in enumerate(sorted(compared, key=lambda one: one.chance)):
        if one.chance > level / (len(compared) - place):
            break
        found.append(one)
    return sorted(found, key=lambda one: -one.worse)
