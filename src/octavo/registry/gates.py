"""Gates: whether a version has earned its release, each with the evidence in numbers."""

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Gate, GateKind
from octavo.registry.champions import Champion
from octavo.registry.versions import GateResult
from octavo.training.evaluation import Metric, difference, metric, value
from octavo.training.fit import TrainedModel
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]


def judge(trained: TrainedModel, *, predictions: Floats, champion: Champion | None) -> tuple[GateResult, ...]:
    """The verdict of each of the model's gates.

    Parameters
    ----------
    predictions : ndarray, shape (n_holdout,), float64
        Of the compiled model, which is what answers once it is released and what the champion answers by.
    """
    return tuple(_judge(gate, trained, predictions, champion) for gate in trained.model.gates)


def _judge(gate: Gate, trained: TrainedModel, predictions: Floats, champion: Champion | None) -> GateResult:
    judged = metric(gate.metric, task=trained.model.task)
    found = trained.report.metrics[gate.metric]
    match gate.kind:
        case GateKind.AT_MOST | GateKind.AT_LEAST:
            passed, evidence = _bounded(gate, found)
        case GateKind.BETTER_THAN_BASELINE:
            passed, evidence = _against_baselines(trained, judged, found)
        case GateKind.BETTER_THAN_CHAMPION:
            passed, evidence = _against_champion(trained, judged, predictions, champion)
    return GateResult(gate=gate.name, passed=passed, evidence=f"{judged.name} is {_words(found)}; {evidence}")


def _bounded(gate: Gate, found: Interval) -> tuple[bool, str]:
    bound = float("nan") if gate.bound is None else gate.bound
    passed = found.value <= bound if gate.kind is GateKind.AT_MOST else found.value >= bound
    return passed, f"the bound is {bound:g}"


def _against_baselines(trained: TrainedModel, judged: Metric, found: Interval) -> tuple[bool, str]:
    others = {name: metrics[judged.name].value for name, metrics in trained.report.baselines.items()}
    passed = all(judged.better(found.value, other) for other in others.values())
    return passed, "baselines: " + ", ".join(f"{name} {other:.4g}" for name, other in others.items())


def _against_champion(
    trained: TrainedModel, judged: Metric, ours: Floats, champion: Champion | None
) -> tuple[bool, str]:
    """Strictly better on the same rows; whether that may be chance stands in the evidence, for people to weigh."""
    if champion is None:
        return True, "no version is live yet"
    theirs = champion.predictions
    if theirs is None:
        return _by_record(judged, trained.report.metrics[judged.name], champion)
    labels = trained.training_set.holdout.y
    apart = difference(labels, ours=ours, theirs=theirs, metric=judged)
    learned = f", of which it may have learned from {champion.learned:,}" if champion.learned else ""
    chance = ", which may be chance" if apart.low <= 0 <= apart.high else ""
    return judged.better(apart.value, 0.0), (
        f"version {champion.version.version} has {value(labels, theirs, metric=judged):.4g} on the same "
        f"{len(labels):,} rows{learned}, a difference of {apart.value:+.4g} "
        f"({apart.low:+.4g} to {apart.high:+.4g}){chance}"
    )


def _by_record(judged: Metric, found: Interval, champion: Champion) -> tuple[bool, str]:
    """Compare with what the champion reached when it was trained, where it cannot answer the same rows."""
    theirs = champion.version.metrics.get(judged.name)
    if theirs is None:
        return True, f"{champion.why}, and it was never judged by {judged.name}"
    return judged.better(found.value, theirs), f"{champion.why}; on its own held-out rows it had {theirs:.4g}"


def _words(found: Interval) -> str:
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
