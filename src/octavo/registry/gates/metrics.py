"""Gates on a metric of all held-out rows: a bound, the baselines, the live version."""

from octavo.definitions.gates import AtLeast, AtMost, BetterOnLog, BetterThanBaseline, BetterThanChampion
from octavo.registry.champions import Champion
from octavo.registry.gates.candidates import NO_CHAMPION, Candidate, Verdict, numbers_of, words_of
from octavo.training.evaluation import difference, value
from octavo.training.metrics import Metric, metric
from octavo.training.reports import Interval


def below(gate: AtMost, candidate: Candidate) -> Verdict:
    """Whether a metric is at most its bound."""
    found = candidate.trained.report.metrics[gate.metric]
    return _bounded(gate.metric, found, gate.bound, passed=found.value <= gate.bound)


def above(gate: AtLeast, candidate: Candidate) -> Verdict:
    """Whether a metric is at least its bound."""
    found = candidate.trained.report.metrics[gate.metric]
    return _bounded(gate.metric, found, gate.bound, passed=found.value >= gate.bound)


def against_baselines(gate: BetterThanBaseline, candidate: Candidate) -> Verdict:
    """Whether every baseline is beaten."""
    report = candidate.trained.report
    judged, found = metric(gate.metric, task=report.task), report.metrics[gate.metric]
    others = {name: metrics[judged.name].value for name, metrics in report.baselines.items()}
    named = ", ".join(f"{name} {other:.4g}" for name, other in others.items())
    return Verdict(
        passed=all(judged.better(found.value, other) for other in others.values()),
        evidence=f"{judged.name} is {words_of(found)}; baselines: {named}",
        numbers=numbers_of(found, name=judged.name) | {f"baseline_{name}": other for name, other in others.items()},
    )


def against_champion(gate: BetterThanChampion, candidate: Candidate) -> Verdict:
    """Whether the live version is beaten on the same rows, or by its record where it cannot answer them."""
    report, champion = candidate.trained.report, candidate.champion
    judged, found = metric(gate.metric, task=report.task), report.metrics[gate.metric]
    said, numbers = f"{judged.name} is {words_of(found)}", numbers_of(found, name=judged.name)
    if champion is None:
        return Verdict(passed=True, evidence=f"{said}; {NO_CHAMPION}", numbers=numbers)
    if champion.predictions is None:
        passed, why = _by_record(gate, judged, found, champion)
        return Verdict(passed=passed, evidence=f"{said}; {why}", numbers=numbers)
    labels = candidate.trained.training_set.holdout.y
    apart = difference(
        labels,
        ours=candidate.predictions,
        theirs=champion.predictions,
        metric=judged,
        confidence=gate.confidence or 0.95,
    )
    theirs = value(labels, champion.predictions, metric=judged)
    learned = f", of which it may have learned from {champion.learned:,}" if champion.learned else ""
    return Verdict(
        passed=is_better(gate, judged, apart),
        evidence=(
            f"{said}; version {champion.version.version} has {theirs:.4g} on the same {len(labels):,} rows{learned}, "
            f"a difference of {apart.value:+.4g} ({apart.low:+.4g} to {apart.high:+.4g}){chance_of(gate, apart)}"
        ),
        numbers={**numbers, "champion": theirs, **numbers_of(apart, name="difference"), "rows": len(labels)},
    )


def _bounded(name: str, found: Interval, bound: float, *, passed: bool) -> Verdict:
    return Verdict(
        passed=passed,
        evidence=f"{name} is {words_of(found)}; the bound is {bound:g}",
        numbers=numbers_of(found, name=name) | {"bound": bound},
    )


def is_better(gate: BetterThanChampion | BetterOnLog, judged: Metric, apart: Interval) -> bool:
    """Whether a difference, or with a confidence its worse end, is better than the margin allows to be worse."""
    worst = apart.low if judged.higher_is_better else apart.high
    deciding = apart.value if gate.confidence is None else worst
    return judged.better(deciding, -gate.margin if judged.higher_is_better else gate.margin)


def chance_of(gate: BetterThanChampion | BetterOnLog, apart: Interval) -> str:
    """What there is to say of chance: people weigh it, unless the gate does."""
    if gate.confidence is None:
        may_be = ", which may be chance" if apart.low <= 0 <= apart.high else ""
        return may_be + (f"; it may be worse by {gate.margin:g}" if gate.margin else "")
    sure = f" at {gate.confidence:.4g} confidence"
    return (
        f"{sure}; at its worse end it may be worse by {gate.margin:g}"
        if gate.margin
        else f"{sure}; its worse end counts"
    )


def _by_record(
    gate: BetterThanChampion, judged: Metric, found: Interval, champion: Champion
) -> tuple[bool | None, str]:
    """Compare with what the champion reached when it was trained, where it cannot answer the same rows."""
    theirs = champion.version.metrics.get(judged.name)
    if gate.confidence is not None:
        return None, f"{champion.why}, so no interval of their difference can be told"
    if theirs is None:
        return True, f"{champion.why}, and it was never judged by {judged.name}"
    margin = -gate.margin if judged.higher_is_better else gate.margin
    return (
        judged.better(found.value, theirs + margin),
        f"{champion.why}; on its own held-out rows it had {theirs:.4g}",
    )
