"""Audits that are asked for, and those by the clock."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.serving.projects import DEPLOYMENT
from tests.unit.monitoring.skewed import COUNT, MINUTE, Airport, counts, open_airport

from octavo.config import AuditSettings
from octavo.errors import InvalidDefinition, InvalidRequest, NotAllowed, NotFound
from octavo.loop.audits import AuditFeatures, ListAudits, audit_by_clock, interval
from octavo.monitoring.prediction_log import ship_predictions
from octavo.operations import SYSTEM, Principal
from octavo.wiring import build_dispatcher

DAY = timedelta(days=1)


@pytest.fixture
def airport(tmp_path: Path) -> Airport:
    """An airport that answered once, nothing of which is in a table yet but the prediction."""
    opened = open_airport(tmp_path)
    opened.depart(10.0)
    opened.apply()
    opened.predict()
    opened.wait(MINUTE)
    ship_predictions(opened.bench.log, opened.stores.tables)
    return opened


def test_an_audit_brings_the_events_into_the_tables_first(airport: Airport) -> None:
    [report] = build_dispatcher(airport.context).call(AuditFeatures(), SYSTEM)
    assert counts(report.audit)[COUNT] == {"equal": 1}
    assert (report.wrong, report.remarks) == (0, ())


def test_audits_are_listed_the_newest_first(airport: Airport) -> None:
    dispatcher = build_dispatcher(airport.context)
    dispatcher.call(AuditFeatures(deployment=DEPLOYMENT), SYSTEM)
    airport.wait(MINUTE)
    dispatcher.call(AuditFeatures(since=airport.now - DAY), SYSTEM)
    listed = dispatcher.call(ListAudits(deployment=DEPLOYMENT), SYSTEM)
    assert [report.audit.at for report in listed] == [airport.now, airport.now - MINUTE]


def test_an_audit_tells_how_far_it_is(airport: Airport) -> None:
    told: list[tuple[float, str]] = []
    build_dispatcher(airport.context).call(
        AuditFeatures(), SYSTEM, progress=lambda fraction, message: told.append((fraction, message))
    )
    assert (0.0, "recomputing origin_delays") in told
    assert all(0 <= fraction <= 1 for fraction, _ in told)


def test_what_cannot_be_audited_is_refused(airport: Airport) -> None:
    dispatcher = build_dispatcher(airport.context)
    with pytest.raises(NotFound, match="nowhere"):
        dispatcher.call(AuditFeatures(deployment="nowhere"), SYSTEM)
    with pytest.raises(InvalidRequest, match="out of range"):
        dispatcher.call(AuditFeatures(limit=0), SYSTEM)
    with pytest.raises(NotAllowed):
        dispatcher.call(AuditFeatures(), Principal(name="eve", permissions=frozenset({"models:read"})))


def test_the_clock_audits_the_time_since_the_audit_before(airport: Airport) -> None:
    airport.carry()
    of_today = audit_by_clock(airport.context, DEPLOYMENT, at=airport.now, every=DAY)
    airport.wait(DAY)
    of_tomorrow = audit_by_clock(airport.context, DEPLOYMENT, at=airport.now, every=DAY)
    assert (of_today.predictions, of_tomorrow.predictions) == (1, 0)
    with airport.context.transaction() as tx:
        assert len(tx.find(type(of_today))) == 1, "a day without predictions leaves no record"


def test_an_interval_that_is_none_is_refused(airport: Airport) -> None:
    def every(text: str) -> timedelta | None:
        config = replace(airport.context.config, audit=AuditSettings(every=text))
        return interval(replace(airport.context, config=config))

    assert (every("6h"), every("never")) == (timedelta(hours=6), None)
    with pytest.raises(InvalidDefinition, match=r"\[audit\] every"):
        every("sometimes")
