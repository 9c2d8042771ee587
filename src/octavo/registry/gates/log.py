"""Gates on what was served: are its features what the events say, and does the version answer what was asked?"""

import numpy as np

from octavo.definitions.gates import BetterOnLog, NoSkew, Replays
from octavo.errors import InvalidRequest
from octavo.registry.gates.candidates import NO_CHAMPION, Candidate, Verdict, numbers_of
from octavo.registry.gates.metrics import chance_of, is_better
from octavo.registry.gates.served import Replayed
from octavo.training.evaluation import difference, value
from octavo.training.metrics import metric

_NOT_TOLD = "nobody could tell what was served; have the version trained by octavo train or the worker"


def look_for_skew(gate: NoSkew, candidate: Candidate) -> Verdict:
    """Whether the newest predictions were given what the events say."""
    if candidate.champion is None:
        return Verdict(passed=True, evidence=f"{NO_CHAMPION}, so nothing was served that could differ")
    if candidate.served is None:
        return Verdict(passed=None, evidence=_NOT_TOLD)
    found = candidate.served.skew(last=gate.last)
    numbers = {"predictions": found.predictions, "values": found.values, "wrong": found.wrong}
    if not found.predictions:
        return Verdict(passed=None, evidence=found.why or "no prediction was recorded", numbers=numbers)
    why = f": {found.why}" if found.wrong and found.why else ""
    return Verdict(
        passed=not found.wrong,
        evidence=(
            f"{found.wrong:,} of {found.values:,} values of {found.predictions:,} predictions are not what the events "
            f"say{why}"
        ),
        numbers=numbers,
    )


def compare_replayed(gate: Replays, candidate: Candidate) -> Verdict:
    """Whether the newest requests are answered, and not too differently."""
    if candidate.champion is None:
        return Verdict(passed=True, evidence=f"{NO_CHAMPION}, so nothing was asked that could be replayed")
    if candidate.served is None:
        return Verdict(passed=None, evidence=_NOT_TOLD)
    found = candidate.served.replay(candidate.digest, last=gate.last)
    if not found.asked:
        return Verdict(passed=None, evidence=found.why or "no request was recorded", numbers={"skipped": found.skipped})
    apart = np.abs(found.answers - found.given)
    differs = apart > (0.0 if gate.within is None else gate.within)
    share = float(differs.mean()) if len(differs) else 0.0
    failed, said = _said(found)
    if len(apart):
        beyond = "at all" if gate.within is None else f"by more than {gate.within:g}"
        said += (
            f"; {int(differs.sum()):,} answers ({share:.2%}) differ {beyond}, on average by {apart.mean():.4g}, at "
            f"most by {apart.max():.4g}"
        )
    if gate.within is not None:
        said += f"; the bound is {gate.differing:.2%}"
    return Verdict(
        passed=not failed and (gate.within is None or share <= gate.differing),
        evidence=said,
        numbers={
            "requests": found.asked,
            "failed": found.failed,
            "skipped": found.skipped,
            "differing": share,
            "mean_difference": float(apart.mean()) if len(apart) else 0.0,
            "largest_difference": float(apart.max()) if len(apart) else 0.0,
        },
    )


def backtest(gate: BetterOnLog, candidate: Candidate) -> Verdict:
    """Whether the version would have answered better, by the outcomes of what it did not learn from."""
    trained = candidate.trained
    if candidate.champion is None:
        return Verdict(passed=True, evidence=f"{NO_CHAMPION}, so nothing was answered that could be bettered")
    if candidate.served is None:
        return Verdict(passed=None, evidence=_NOT_TOLD)
    since = trained.learned_until
    found = candidate.served.backtest(candidate.digest, since=since, last=gate.last)
    rows = len(found.labels)
    if rows < gate.min_rows:
        few = found.why or f"{rows:,} outcomes are known of what was asked since {since:%Y-%m-%d %H:%M}"
        return Verdict(passed=None, evidence=f"{few}; {gate.min_rows:,} are needed", numbers={"rows": rows})
    judged = metric(gate.metric, task=trained.model.task)
    try:
        apart = difference(
            found.labels,
            ours=found.answers,
            theirs=found.given,
            metric=judged,
            confidence=gate.confidence or 0.95,
        )
    except InvalidRequest as error:
        return Verdict(passed=None, evidence=error.message, numbers={"rows": rows})
    ours, theirs = (value(found.labels, each, metric=judged) for each in (found.answers, found.given))
    return Verdict(
        passed=is_better(gate, judged, apart),
        evidence=(
            f"over {rows:,} requests since {since:%Y-%m-%d %H:%M} whose outcome is known {judged.name} is {ours:.4g}, "
            f"and of what was answered {theirs:.4g}, a difference of {apart.value:+.4g} ({apart.low:+.4g} to "
            f"{apart.high:+.4g}){chance_of(gate, apart)}"
        ),
        numbers={judged.name: ours, "answered": theirs, **numbers_of(apart, name="difference"), "rows": rows},
    )


def _said(found: Replayed) -> tuple[bool, str]:
    why = f" ({found.why})" if found.why else ""
    skipped = f"; {found.skipped:,} could not be asked again{'' if found.failed else why}" if found.skipped else ""
    if found.failed:
        return True, f"{found.failed:,} of {found.asked:,} recorded requests are not answered{why}{skipped}"
    return False, f"all {found.asked:,} recorded requests are answered{skipped}"
