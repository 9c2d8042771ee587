"""Audits as a page shows them."""

from datetime import UTC, datetime

from octavo.console.audits import AuditView, audit_view
from octavo.features.audit.reasons import FeatureAudit, Reason
from octavo.loop.audits import AuditReport
from octavo.monitoring.audits import FeaturesAudit

EQUAL = FeatureAudit(name="equal", counts={Reason.EQUAL: 4}, is_changed=False)
LATE = FeatureAudit(name="late", counts={Reason.EQUAL: 3, Reason.LATE_DATA: 1}, is_changed=False)


def view_of(*features: FeatureAudit) -> AuditView:
    audit = FeaturesAudit(
        deployment="eta",
        model="arrival_delay",
        at=datetime(2013, 5, 20, tzinfo=UTC),
        since=None,
        predictions=4,
        features=features,
    )
    found = audit_view([AuditReport(audit=audit, wrong=0, remarks=())])
    assert found is not None
    return found


def test_only_features_of_which_a_value_differs_have_a_row() -> None:
    found = view_of(EQUAL, LATE)
    assert [(row.name, row.counts) for row in found.features] == [("late", (3, 1))]
    assert found.equal == ("equal",)


def test_that_nothing_differs_is_one_line() -> None:
    found = view_of(EQUAL)
    assert (found.features, found.equal, found.summary) == ((), ("equal",), "4 predictions; 4 values, none wrong.")


def test_there_may_be_no_audit() -> None:
    assert audit_view([]) is None
