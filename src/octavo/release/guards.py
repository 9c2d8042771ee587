"""Guards: what may end a release's stage early. They compare the candidate's arm with the live one over the stage.

Errors (outputs that are no number), latency, and the distribution of the scores here; what came of the predictions in
`octavo.release.outcomes`. What experiments, holdouts and exploration answer is not looked at; nor is what a shadow did
not see, because it makes way when there is much to do.
A retrained model is meant to differ, so the bounds on the scores only catch one that has lost its mind.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from octavo.definitions.guards import Guards
from octavo.errors import NotFound
from octavo.stores.ports import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmStatistics:
    """One version's predictions in a stage. Means and deviations are over finite scores; 0 where there are none."""

    rows: int = 0
    failed: int = 0
    mean: float = 0.0
    std: float = 0.0
    latency_p50_us: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the guards found.

    Attributes
    ----------
    complaint : str
        Empty if the stage may go on.
    summary : str
        The evidence in words.
    """

    complaint: str
    summary: str


_ARMS = """
SELECT version, count(*) AS n, count(*) FILTER (NOT isfinite(output)) AS failed,
       coalesce(avg(output) FILTER (isfinite(output)), 0.0) AS mean,
       coalesce(stddev_pop(output) FILTER (isfinite(output)), 0.0) AS std,
       coalesce(median(latency_us), 0.0) AS p50
FROM predictions
WHERE deployment = $deployment AND arm IN ('live', 'canary', 'shadow')
  AND "at" < $until AND "at" >= greatest($since, coalesce((
    SELECT min("at") FROM predictions
    WHERE deployment = $deployment AND version = $candidate AND "at" >= $since AND "at" < $until
), $since))
GROUP BY version
"""


def measure(
    tables: Tables, deployment: str, *, candidate: int, since: datetime, until: datetime
) -> dict[int, ArmStatistics]:
    """Statistics of each version's predictions in [since, until), by version.

    Counted from the candidate's first prediction on: what came before the predictors had it is not held against it.
    """
    try:
        found = tables.query(
            _ARMS,
            tables={"predictions": "predictions"},
            parameters={"deployment": deployment, "candidate": candidate, "since": since, "until": until},
        )
    except NotFound:
        return {}
    return {
        row["version"]: ArmStatistics(
            rows=row["n"], failed=row["failed"], mean=row["mean"], std=row["std"], latency_p50_us=row["p50"]
        )
        for row in found.to_pylist()
    }


def judge(live: ArmStatistics, candidate: ArmStatistics, *, is_shadow: bool, limits: Guards | None = None) -> Verdict:
    """Compare the arms.

    Parameters
    ----------
    is_shadow : bool
        A shadow runs when the live version has answered, and may take as long as both.
    """
    limits = limits or Guards()
    if min(live.rows, candidate.rows) < limits.min_rows:
        return Verdict(
            complaint="", summary=f"{candidate.rows} predictions beside {live.rows} live ones: too few to judge"
        )
    failed = candidate.failed / candidate.rows
    shift, spread = _score_differences(live, candidate)
    summary = (
        f"{candidate.rows} predictions beside {live.rows} live ones: {failed:.1%} failed, "
        f"median latency {candidate.latency_p50_us / 1000:.1f} ms (live {live.latency_p50_us / 1000:.1f} ms), "
        f"scores shifted by {shift:.2f} standard deviations, spread ratio {spread:.2f}"
    )
    complaints = (
        (
            failed > limits.errors and candidate.failed >= limits.min_errors,
            f"more than {limits.errors:.0%} of its predictions failed",
        ),
        (
            candidate.latency_p50_us > (2 if is_shadow else 1) * _slowest_us(live, limits),
            "it is much slower than the live version",
        ),
        (shift > limits.score_shift, "its scores lie elsewhere than those of the live version"),
        (spread > limits.score_spread, "its scores spread otherwise than those of the live version"),
    )
    complaint = next((text for is_broken, text in complaints if is_broken), "")
    return Verdict(complaint=f"{complaint} ({summary})" if complaint else "", summary=summary)


def together(verdict: Verdict, *others: Verdict) -> Verdict:
    """Several verdicts as one: the first complaint, and all that was seen."""
    said = [one for one in (verdict, *others) if one.summary]
    complaint = next((one.complaint for one in said if one.complaint), "")
    return Verdict(complaint=complaint, summary="; ".join(one.summary for one in said))


def _slowest_us(live: ArmStatistics, limits: Guards) -> float:
    return limits.latency_ratio * live.latency_p50_us + limits.latency_slack_us


def _score_differences(live: ArmStatistics, candidate: ArmStatistics) -> tuple[float, float]:
    """Shift of the mean in live standard deviations, and ratio of the deviations (at least 1)."""
    scale = live.std or abs(live.mean) or 1.0
    shift = abs(candidate.mean - live.mean) / scale
    narrow, wide = sorted((live.std, candidate.std))
    if wide == 0.0:
        return shift, 1.0
    return shift, wide / narrow if narrow > 0 else math.inf
