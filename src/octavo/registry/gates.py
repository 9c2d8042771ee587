"""Gates: whether a version has earned its release, each with the evidence in numbers."""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Gate, GateKind
from octavo.definitions.plans import LookupPlan
from octavo.registry.bundles import ONNX, PLAN, decode_manifest
from octavo.registry.compiled import CompiledModel
from octavo.registry.versions import GateResult, ModelVersion
from octavo.stores.ports import Artifacts
from octavo.training.evaluation import Metric, difference, metric, value
from octavo.training.fit import TrainedModel
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The live version, and what it answers for the held-out rows of the one that is judged.

    Attributes
    ----------
    predictions : ndarray, shape (n_holdout,), float64, or None
        None if it takes inputs that the rows do not have.
    lacking : tuple of str
        Those inputs.
    """

    version: ModelVersion
    predictions: Floats | None
    lacking: tuple[str, ...] = ()


def judge(trained: TrainedModel, *, champion: Champion | None) -> tuple[GateResult, ...]:
    """The verdict of each of the model's gates."""
    return tuple(_judge(gate, trained, champion) for gate in trained.model.gates)


def bring_in(artifacts: Artifacts, version: ModelVersion, rows: Dataset) -> Champion:
    """Let the live version answer rows that another was held out from, its inputs found by name.

    Raises
    ------
    IntegrityError, NotFound
        If its bundle is damaged or gone.
    """
    manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
    plan = msgspec.json.decode(artifacts.get(manifest.files[PLAN].digest), type=LookupPlan)
    lacking = tuple(name for name in plan.inputs if name not in rows.columns)
    if lacking:
        return Champion(version=version, predictions=None, lacking=lacking)
    places = [rows.columns.index(name) for name in plan.inputs]
    compiled = CompiledModel(artifacts.get(manifest.files[ONNX].digest))
    return Champion(version=version, predictions=compiled.predict(rows.X[:, places]))


def _judge(gate: Gate, trained: TrainedModel, champion: Champion | None) -> GateResult:
    judged = metric(gate.metric, task=trained.model.task)
    found = trained.report.metrics[gate.metric]
    match gate.kind:
        case GateKind.AT_MOST | GateKind.AT_LEAST:
            passed, evidence = _bounded(gate, found)
        case GateKind.BETTER_THAN_BASELINE:
            passed, evidence = _against_baselines(trained, judged, found)
        case GateKind.BETTER_THAN_CHAMPION:
            passed, evidence = _against_champion(trained, judged, found, champion)
    return GateResult(gate=gate.name, passed=passed, evidence=evidence)


def _bounded(gate: Gate, found: Interval) -> tuple[bool, str]:
    bound = float("nan") if gate.bound is None else gate.bound
    passed = found.value <= bound if gate.kind is GateKind.AT_MOST else found.value >= bound
    return passed, f"{gate.metric} is {_words(found)}; the bound is {bound:g}"


def _against_baselines(trained: TrainedModel, judged: Metric, found: Interval) -> tuple[bool, str]:
    others = {name: metrics[judged.name].value for name, metrics in trained.report.baselines.items()}
    passed = all(judged.better(found.value, other) for other in others.values())
    listed = ", ".join(f"{name} {other:.4g}" for name, other in others.items())
    return passed, f"{judged.name} is {_words(found)}; baselines: {listed}"


def _against_champion(
    trained: TrainedModel, judged: Metric, found: Interval, champion: Champion | None
) -> tuple[bool, str]:
    if champion is None:
        return True, f"{judged.name} is {_words(found)}; no version is live yet"
    number = champion.version.version
    if champion.predictions is None:
        return _by_report(judged, found, champion)
    rows = trained.training_set.holdout.y
    theirs = value(rows, champion.predictions, metric=judged)
    apart = difference(rows, ours=trained.predictions, theirs=champion.predictions, metric=judged)
    return judged.better(found.value, theirs), (
        f"{judged.name} is {_words(found)}; version {number} has {theirs:.4g} on the same {len(rows):,} rows, "
        f"a difference of {apart.value:+.4g} ({apart.low:+.4g} to {apart.high:+.4g})"
    )


def _by_report(judged: Metric, found: Interval, champion: Champion) -> tuple[bool, str]:
    """Compare with what the champion reached when it was trained, where it cannot answer the same rows."""
    theirs = champion.version.metrics.get(judged.name)
    why = f"version {champion.version.version} takes {', '.join(champion.lacking)}, which these rows lack"
    if theirs is None:
        return True, f"{judged.name} is {_words(found)}; {why}, and it was never judged by {judged.name}"
    return judged.better(
        found.value, theirs
    ), f"{judged.name} is {_words(found)}; {why}; on its own rows it had {theirs:.4g}"


def _words(found: Interval) -> str:
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
