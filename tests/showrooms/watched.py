"""Looks and incidents of the showroom."""

import math
import random
from dataclasses import replace

from octavo.features.audit.late import LateEvent
from octavo.features.audit.reasons import Example, FeatureAudit, Reason
from octavo.monitoring.audits import FeaturesAudit
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import Incident, IncidentKind, TimelineEntry
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.looks import Look
from octavo.monitoring.performance import Performance
from tests.showrooms.declared import arrival_delay
from tests.showrooms.moments import DAY, HOUR, NOW, incident_id, prediction_id
from tests.showrooms.versions import interval


def incidents(text: str) -> list[Incident]:
    def incident(number: int, kind: IncidentKind, days: float, **changes: object) -> Incident:
        at = NOW - DAY * days
        fields: dict[str, object] = {
            "deployment": "eta", "model": "arrival_delay", "version": 1, "subject": "inputs", "value": 0.41,
            "threshold": 0.25, "cause": f"origin_landings__arr_delay_mean_3h moved most: {text}",
            "timeline": (
                TimelineEntry(at=at, text=f"opened: {text}"),
                TimelineEntry(at=at + HOUR, text="a retraining was requested"),
            ),
            **changes,
        }  # fmt: skip
        return Incident(id=incident_id(number), incident_kind=kind, opened_at=at, **fields)  # type: ignore[arg-type]  # of tests

    return [
        incident(0, IncidentKind.DRIFT, 12, resolved_at=NOW - 9 * DAY),
        incident(1, IncidentKind.QUALITY, 7, resolved_at=NOW - 6 * DAY, subject="plane_landings__arr_delay_latest"),
        incident(2, IncidentKind.PERFORMANCE, 1.5, version=2, subject="mae", value=0.38),
    ]


def looks(text: str) -> list[Look]:
    looks = [_look(place, text) for place in range(80)]
    quiet = replace(looks[-1], deployment="late", model="arrives_late", version=1, performance=None, findings=())
    return [*looks, replace(quiet, drift=None, inputs=(), predictions=12, outcomes=3)]


def _look(place: int, text: str) -> Look:
    at = NOW - 6 * HOUR * (79 - place)
    growth = 0.1 * math.sin(place / 7) + (0.3 if place > 72 else 0.0)
    drift = 0.08 + 0.06 * math.sin(place / 5) + (0.25 if 32 < place < 40 else 0.0)
    held_out = interval(15.0 if place < 40 else 14.0)
    performance = Performance(
        metric="mae",
        observed=interval(held_out.value * (1 + growth), 0.08),
        held_out=held_out,
        growth=growth,
        rows=1_204,
    )

    def finding(kind: IncidentKind, value: float, threshold: float, subject: str) -> Finding:
        verdict = Verdict.UNHEALTHY if value > threshold else Verdict.HEALTHY
        return Finding(
            kind=kind, verdict=verdict, subject=subject, value=value, threshold=threshold,
            summary=f"{subject} at {value:.2f}, {text}", cause=text if verdict is Verdict.UNHEALTHY else "",
        )  # fmt: skip

    return Look(
        deployment="eta",
        model="arrival_delay",
        version=1 if place < 40 else 2,
        at=at,
        since=at - 3 * DAY,
        predictions=2_450 + 40 * (place % 9),
        outcomes=2_300 + 40 * (place % 9),
        drift=drift,
        prediction_drift=drift / 2,
        inputs=tuple(_input(name, rank, drift) for rank, name in enumerate(arrival_delay.input_names)),
        performance=performance,
        trained_until=at - 10 * DAY,
        newest_prediction_at=at,
        newest_outcome_at=at - HOUR,
        findings=(
            finding(IncidentKind.PERFORMANCE, growth, 0.25, "mae"),
            finding(IncidentKind.DRIFT, drift, 0.25, "inputs"),
            finding(IncidentKind.QUALITY, 0.04, 0.2, "plane_landings__arr_delay_latest"),
            Finding(
                kind=IncidentKind.STALENESS, verdict=Verdict.UNKNOWN, subject="outcomes", value=None, threshold=1.0,
                summary="too few outcomes to tell their usual delay",
            ),
        ),
    )  # fmt: skip


def _input(name: str, rank: int, drift: float) -> InputLook:
    chance = random.Random(rank)
    raw = [max(0.02, 0.1 + chance.uniform(-0.06, 0.09) * drift * 6) for _ in range(10)]
    return InputLook(
        name=name, importance=1 / (rank + 2) / 2, drift=drift / (rank + 1), absent=0.02 * rank, missing=0.02 * rank,
        stale=0.0, default=0.0, outside=0.001 * rank, mean=9.4 + rank, trained_mean=8.0 + rank, trained_std=12.0,
        trained_absent=0.02 * rank, shares=tuple(share / sum(raw) for share in raw),
    )  # fmt: skip


def audits(text: str) -> list[FeaturesAudit]:
    """Two days of audits: one that is clean, and one that is not."""
    moved = Example(
        prediction=prediction_id(0),
        made_at=NOW - HOUR,
        reason=Reason.LATE_DATA,
        served=12.5,
        served_status="present",
        recomputed=None,
        recomputed_status="stale",
        events=(LateEvent(source="landings", id={"flight": text}, available_at=NOW - 2 * HOUR, ingested_at=NOW),),
    )
    name = "plane_landings__arr_delay_latest"
    clean = FeatureAudit(name=name, counts={"equal": 900}, is_changed=False)
    torn = replace(clean, counts={"equal": 897, "late data": 1, "store wrong": 2}, examples=(moved,))

    def audit(days: int, feature: FeatureAudit, *problems: str) -> FeaturesAudit:
        at = NOW - days * DAY
        return FeaturesAudit(
            deployment="eta", model="arrival_delay", at=at, since=at - DAY, versions=(2,), predictions=900,
            features=(feature,), problems=problems,
        )  # fmt: skip

    return [audit(1, clean), audit(0, torn, f"version 1 cannot be audited: {text}")]
