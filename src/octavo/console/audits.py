"""Audits of features as a page shows them: the last one in full, those before in a line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from octavo.console.formatting import number, plural, whole
from octavo.console.status import Status, failing, healthy, unknown
from octavo.features.audit.reasons import Example, FeatureAudit, Reason
from octavo.loop.audits import AuditReport

_MOST_EXAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """A feature, and how many of its values there are of each reason that is shown."""

    name: str
    counts: tuple[int, ...]
    is_wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRow:
    """A value that differs, in words."""

    feature: str
    reason: Reason
    prediction: str
    made_at: datetime
    served: str
    recomputed: str
    events: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """The last audit of a deployment.

    Attributes
    ----------
    reasons : tuple of Reason
        Those that occur, equality first.
    features, equal : tuple of FeatureRow, tuple of str
        Features of which a value differs, and the names of the others.
    earlier : tuple of (moment, summary)
        The audits before, the newest first.
    """

    at: datetime
    status: Status
    summary: str
    remarks: tuple[str, ...]
    reasons: tuple[Reason, ...]
    features: tuple[FeatureRow, ...]
    equal: tuple[str, ...]
    examples: tuple[ExampleRow, ...]
    earlier: tuple[tuple[datetime, str], ...]


def audit_view(reports: Sequence[AuditReport]) -> AuditView | None:
    """The newest of some audits, the newest of which comes first; None if there is none."""
    if not reports:
        return None
    newest = reports[0]
    features = newest.audit.features
    reasons = tuple(r for r in Reason if r is Reason.EQUAL or any(feature.count(r) for feature in features))
    examples = [_example(feature, example) for feature in features for example in feature.examples]
    return AuditView(
        at=newest.audit.at,
        status=_status(newest),
        summary=_summary(newest),
        remarks=newest.remarks,
        reasons=reasons,
        features=tuple(_row(feature, reasons) for feature in features if _differs(feature)),
        equal=tuple(feature.name for feature in features if not _differs(feature)),
        examples=tuple(examples[:_MOST_EXAMPLES]),
        earlier=tuple((report.audit.at, _summary(report)) for report in reports[1:]),
    )


def _status(report: AuditReport) -> Status:
    if report.wrong:
        return failing("skewed")
    return healthy("as trained") if report.audit.predictions else unknown("not audited")


def _summary(report: AuditReport) -> str:
    audit = report.audit
    values = plural(audit.values, "value")
    wrong = (
        f"{whole(report.wrong)} of {values} are not what the events say" if report.wrong else f"{values}, none wrong"
    )
    return f"{plural(audit.predictions, 'prediction')}; {wrong}."


def _differs(feature: FeatureAudit) -> bool:
    return feature.count(Reason.EQUAL) < feature.values


def _row(feature: FeatureAudit, reasons: Sequence[Reason]) -> FeatureRow:
    counts = tuple(feature.count(reason) for reason in reasons)
    return FeatureRow(name=feature.name, counts=counts, is_wrong=feature.wrong > 0)


def _example(feature: FeatureAudit, example: Example) -> ExampleRow:
    return ExampleRow(
        feature=feature.name,
        reason=example.reason,
        prediction=example.prediction,
        made_at=example.made_at,
        served=example.served_status if example.served is None else number(example.served),
        recomputed=example.recomputed_status if example.recomputed is None else number(example.recomputed),
        events="; ".join(f"{e.source} {' '.join(f'{c}={k}' for c, k in e.id.items())}" for e in example.events),
    )
