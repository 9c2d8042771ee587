"""Model versions of the showroom, with their reports."""

from dataclasses import replace
from datetime import datetime

import numpy as np

from octavo.definitions.models import Model, Task
from octavo.definitions.plans import plan_lookup
from octavo.registry.bundles import CARD, ENVIRONMENT, PROVENANCE, REPORT
from octavo.registry.cards import model_card
from octavo.registry.comparisons import encode_comparison
from octavo.registry.provenance import Provenance, encode_provenance
from octavo.registry.signing import Signature
from octavo.registry.versions import GateResult, ModelVersion, Waiver
from octavo.stores.ports import Artifacts
from octavo.training.origins import Origin
from octavo.training.reports import CurvePoint, DataWindow, Interval, Profile, Report, encode_report
from tests.serving.bundles import bundle_files, pack
from tests.showrooms.declared import arrival_delay
from tests.showrooms.moments import DAY, NOW, run_id
from tests.showrooms.reported import comparison, details, interval


def versions(artifacts: Artifacts, model: Model, text: str) -> list[ModelVersion]:
    """Of the regression four, of which the third failed a gate; of the other two."""
    days = (26, 10, 6, 1) if model is arrival_delay else (26, 2)
    return [_version(artifacts, model, version, NOW - DAY * ago, text) for version, ago in enumerate(days, start=1)]


def _version(artifacts: Artifacts, model: Model, version: int, at: datetime, text: str) -> ModelVersion:
    report = _report(model, at, error=16.0 - version)
    if version > 1:  # the first was made before there were details
        metric = next(iter(report.metrics))
        report = replace(report, details=details(report, metric=metric, text=text), errors=report.prediction)
    beside = encode_comparison(comparison(report, champion=version - 1, text=text)) if version > 1 else None
    made = _provenance(version, at, text)
    files = bundle_files(plan=plan_lookup(model), code="") | {
        REPORT: encode_report(report),
        PROVENANCE: encode_provenance(made),
        CARD: model_card(model, report, made).encode(),
        ENVIRONMENT: b"lightgbm==4.6.0\nnumpy==2.2.0\n",
    }
    digests = [artifacts.put(data) for data in pack(files).values()]
    error = f"{16 - version}.0"
    return ModelVersion(
        model=model.name,
        version=version,
        digest=digests[-1],
        signature=Signature(key_id="5f1c09aa3b7e4d20", value="0" * 128),
        run=run_id(version),
        report=artifacts.put(files[REPORT]),
        created_at=at,
        trained_until=at,
        metrics={name: interval.value for name, interval in report.metrics.items()},
        gates=(
            GateResult(
                gate=f"better_than_baseline({model.metrics[0]})",
                passed=version != 3,
                evidence=f"{error} against 20.1 of plane_landings__arr_delay_latest, {text}",
                numbers={model.metrics[0]: 16.0 - version},
                waiver=Waiver(by="ada", at=at, until=NOW, reason=f"until the season ends, {text}"),
            ),
            GateResult(
                gate="replays(last=1000)", passed=True, judged=False, evidence="not judged: no request was recorded"
            ),
            GateResult(gate=f"at_most({model.metrics[0]}, 25)", passed=True, evidence=error),
        ),
        trigger="user" if version == 1 else f"drift: {text}",
        comparison="" if beside is None else artifacts.put(beside),
    )


def _provenance(version: int, at: datetime, text: str) -> Provenance:
    return Provenance(
        run=run_id(version),
        trigger=text,
        as_of=at,
        holdout_from=at - 14 * DAY,
        dataset="sha256:" + "3f" * 32,
        tables={"events/landings": 412},
        unripe=3,
        code="sha256:" + "9a" * 32,
        commit="a03cb4d97e",
        uncommitted=True,
        octavo="0.1.0",
        python="3.11.9",
        machine=text,
        parity=0.04,
        origin=Origin(made_by=f"MLflow {text}", digest="sha256:" + "5c" * 32) if version == 1 else None,
        seen=7 if version == 1 else 0,
    )


def _profile(mean: float, deviation: float, *, missing: float = 0.0) -> Profile:
    edges = tuple(
        float(np.float32(mean + deviation * z)) for z in (-1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28)
    )
    return Profile(
        edges=edges,
        shares=(0.1,) * 10,
        missing=missing,
        mean=mean,
        std=deviation,
        low=mean - 3 * deviation,
        high=mean + 4 * deviation,
    )


def _report(model: Model, at: datetime, *, error: float) -> Report:
    names = arrival_delay.input_names
    weights = [1 / (place + 1) for place in range(len(names))]
    binary = model.task is Task.BINARY
    metrics = (
        {"log_loss": interval(0.48), "auc": interval(0.71)}
        if binary
        else {"mae": interval(error), "rmse": interval(27.4)}
    )
    worse = {name: interval(found.value * (0.72 if name == "auc" else 1.4)) for name, found in metrics.items()}
    return Report(
        model=model.name,
        task=model.task,
        metrics=metrics,
        baselines={"constant": worse, "plane_landings__arr_delay_latest": worse},
        importance={name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)},
        profiles={name: _profile(8.0 + place, 12.0, missing=0.02 * place) for place, name in enumerate(names)},
        prediction=_profile(6.0, 9.0),
        label=_profile(6.4, 38.0),
        curve=tuple(
            CurvePoint(predicted=v, observed=Interval(value=v * 1.1, low=v - 3, high=v * 1.2 + 3), rows=412)
            for v in (-12.0, -7.0, -3.0, 0.0, 3.0, 6.0, 10.0, 16.0, 26.0, 48.0)
        ),
        training=DataWindow(rows=68_412, start=at - 90 * DAY, end=at - 14 * DAY),
        holdout=DataWindow(rows=12_977, start=at - 14 * DAY, end=at),
        as_of=at,
    )
