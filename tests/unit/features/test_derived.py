"""Sources whose events the user's own SQL makes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from tests.plants import memory_stores

import octavo as oc
from octavo.clock import EPOCH, ManualClock
from octavo.definitions.derived import SQLSource
from octavo.definitions.project import Project, collect, document
from octavo.definitions.sources import Source
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.features.events.derived import Refreshed, refresh, sendable
from octavo.features.events.derived_checks import check_derived
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.pump import Pump

NOON = EPOCH.replace(year=2026, hour=12)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

payments = oc.Source(
    "payments",
    event_time="paid",
    available_at="known",
    id=["number"],
    schema={
        "number": oc.Int64,
        "paid": oc.Timestamp,
        "known": oc.Timestamp,
        "customer": oc.String,
        "amount": oc.Float64,
        "pieces": oc.Int64,
    },
)
DAILY = """
    SELECT customer, date_trunc('day', paid) AS day, sum(amount) AS spent, sum(pieces) AS pieces
    FROM payments GROUP BY ALL  -- one row for each day
"""
SPENT: Mapping[str, Any] = {"customer": oc.String, "day": oc.Timestamp, "spent": oc.Float64, "pieces": oc.Int64}


def daily(sql: str = DAILY, **changes: Any) -> SQLSource:
    given = {"inputs": [payments], "schema": SPENT, "event_time": "day", "id": ["customer", "day"], **changes}
    return oc.SQLSource("daily", sql=sql, **given)


def proven(known: str) -> SQLSource:
    """Daily sums whose SQL says since when they could be known."""
    sql = f"SELECT *, {known} AS since FROM (SELECT customer, date_trunc('day', paid) AS day, sum(amount) AS spent,"
    sql += " sum(pieces) AS pieces, max(known) AS newest, min(known) AS oldest FROM payments GROUP BY ALL)"
    sql = f"SELECT customer, day, spent, pieces, since FROM ({sql})"
    return daily(sql, id=None, available_at="since", schema={**SPENT, "since": oc.Timestamp})


class Bench:
    """A project with payments and what SQL makes of them, in memory."""

    def __init__(self, source: SQLSource) -> None:
        module = ModuleType("payments")
        module.source = source  # type: ignore[attr-defined]  # what a project's module declares
        self.source, self.stores, self.clock = source, memory_stores(), ManualClock(NOON)
        self.project: Project = collect(module, name="payments", code={})
        self.pump = Pump(self.stores, self.project, self.clock)
        self.sent = 0

    def pay(self, customer: str, amount: float, *, at: datetime = NOON, known: datetime | None = None) -> None:
        self.sent += 1
        row = {"number": self.sent, "paid": at.isoformat(), "known": (known or at).isoformat()}
        rows = [row | {"customer": customer, "amount": amount, "pieces": 1}]
        ingest_rows(rows, payments, stream=self.stores.stream, clock=self.clock)

    def refresh(self) -> Refreshed:
        self.carry()
        done = refresh(self.source, stores=self.stores, clock=self.clock)
        self.carry()
        return done

    def carry(self) -> None:
        for source in self.project.sources:
            while self.pump.apply(source) or self.pump.ship(source):
                pass

    def rows(self) -> list[dict[str, Any]]:
        sql = f"SELECT {', '.join(self.source.columns)} FROM t ORDER BY ALL"
        found: list[dict[str, Any]] = self.stores.tables.query(sql, tables={"t": "events/daily"}).to_pylist()
        return found

    def check(self) -> None:
        check_derived(self.project, self.stores.tables)


def test_a_row_is_an_event_known_since_it_was_computed() -> None:
    bench = Bench(daily())
    bench.pay("ada", 2.5)
    bench.pay("ada", 1.5)
    assert bench.refresh() == Refreshed(source="daily", at=NOON, rows=1, events=1)
    midnight = NOON.replace(hour=0)
    expected = {"customer": "ada", "day": midnight, "spent": 4.0, "pieces": 2, "computed_at": NOON}
    assert bench.rows() == [expected]


def test_only_what_is_new_or_has_changed_becomes_an_event() -> None:
    bench = Bench(daily())
    bench.pay("ada", 2.5)
    bench.pay("bob", 1.0)
    assert bench.refresh().events == 2
    assert bench.refresh().events == 0
    bench.clock.advance(NOON + HOUR)
    bench.pay("bob", 1.0)
    assert bench.refresh().events == 1
    assert [(row["spent"], row["computed_at"]) for row in bench.rows()] == [
        (2.5, NOON),
        (1.0, NOON),
        (2.0, NOON + HOUR),
    ]


def test_a_row_that_goes_back_to_what_it_was_is_an_event_again() -> None:
    bench = Bench(daily())
    for hours, amount in enumerate((2.0, 1.0, -1.0)):
        bench.clock.advance(NOON + hours * HOUR)
        bench.pay("ada", amount)
        assert bench.refresh().events == 1
    assert [row["spent"] for row in sorted(bench.rows(), key=lambda row: row["computed_at"])] == [2.0, 3.0, 2.0]


def test_what_is_not_known_yet_is_not_selected() -> None:
    bench = Bench(daily())
    bench.pay("ada", 1.0, known=NOON + timedelta(minutes=4))
    assert bench.refresh().rows == 0
    bench.clock.advance(NOON + HOUR)
    assert bench.refresh().rows == 1


def test_before_any_event_came_there_is_nothing() -> None:
    assert Bench(daily()).refresh().rows == 0


def test_the_time_of_the_platform_is_a_parameter() -> None:
    bench = Bench(daily(DAILY.replace("GROUP BY", "WHERE paid > $now - INTERVAL 2 HOUR GROUP BY")))
    bench.check()
    bench.pay("ada", 1.0, at=NOON - 3 * HOUR)
    bench.pay("ada", 2.0, at=NOON - HOUR)
    bench.refresh()
    assert [row["spent"] for row in bench.rows()] == [2.0]


def test_rows_with_the_same_id_are_refused() -> None:
    bench = Bench(daily(id=["day"]))
    bench.pay("ada", 1.0)
    bench.pay("bob", 1.0)
    with pytest.raises(InvalidRequest, match="several rows with the same day"):
        bench.refresh()


def test_a_row_that_no_event_can_be_made_of_is_refused_by_its_column() -> None:
    bench = Bench(daily(DAILY.replace("sum(amount)", "sum(amount) / 0")))
    bench.pay("ada", 1.0)
    with pytest.raises(InvalidRequest, match="SQL of source 'daily'") as raised:
        bench.refresh()
    assert raised.value.field == "rows[0].spent"


def test_history_is_known_since_the_sql_says_where_that_holds() -> None:
    bench = Bench(proven("newest"))
    bench.check()
    for days in range(4, 0, -1):
        bench.pay("ada", float(days), at=NOON - days * DAY)
    assert bench.refresh().events == 4
    assert [row["since"] for row in bench.rows()] == [NOON - days * DAY for days in range(4, 0, -1)]
    assert bench.refresh().events == 0


def test_a_row_that_comes_from_the_future_of_what_it_says_is_refused() -> None:
    bench = Bench(proven("oldest"))
    for days in range(4, 0, -1):
        bench.pay("ada", float(days), at=NOON - days * DAY)
        bench.pay("ada", 1.0, at=NOON - days * DAY, known=NOON - days * DAY + HOUR)
    with pytest.raises(InvalidRequest, match="does not follow from what was known then") as raised:
        bench.refresh()
    assert raised.value.field == "since"
    assert bench.stores.stream.end("events.daily") == 0


def test_one_source_may_be_made_of_another_that_is_made() -> None:
    weekly = oc.SQLSource(
        "weekly",
        sql="SELECT customer, date_trunc('week', day) AS week, max(spent) AS most FROM daily GROUP BY ALL",
        inputs=[daily()],
        schema={"customer": oc.String, "week": oc.Timestamp, "most": oc.Float64},
        event_time="week",
        id=["customer", "week"],
    )
    bench = Bench(weekly)
    bench.check()
    assert list(bench.project.sources) == ["payments", "daily", "weekly"]


def test_vectors_are_made_and_compared_like_any_value() -> None:
    sql = (
        "SELECT customer, date_trunc('day', paid) AS day, [min(amount), max(amount)] AS span FROM payments GROUP BY ALL"
    )
    bench = Bench(daily(sql, schema={"customer": oc.String, "day": oc.Timestamp, "span": oc.Vector(2)}))
    bench.check()
    bench.pay("ada", 1.0)
    bench.pay("ada", 2.0)
    assert [bench.refresh().events for _ in range(2)] == [1, 0]
    assert [row["span"] for row in bench.rows()] == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELEC", "syntax error"),
        ("", "exactly one|one SELECT|syntax"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("DROP TABLE payments", "SELECT"),
        ("SELECT * FROM refunds", "reads 'refunds', which is none of its inputs: payments"),
        ("SELECT * FROM information_schema.tables", "none of its inputs"),
        ("SELECT * FROM 'secrets.parquet'", "none of its inputs"),
        ("SELECT * FROM read_csv('/etc/passwd')", r"reads from read_csv\(\)"),
        (DAILY.replace("sum(amount)", "random()"), r"random\(\) differs from run to run"),
        (DAILY.replace("GROUP BY", "WHERE paid < now() GROUP BY"), r"platform's time is \$now"),
        (DAILY.replace("GROUP BY", "WHERE paid < current_timestamp GROUP BY"), r"platform's time is \$now"),
        (DAILY.replace("GROUP BY", "WHERE amount < $limit GROUP BY"), r"there is only \$now"),
        (DAILY.replace("sum(amount)", "sum(price)"), "price"),
        (DAILY.replace("AS spent", "AS sum"), "yields the columns customer, day, sum, pieces, and declares"),
        (DAILY.replace("sum(pieces)", "avg(pieces)"), "column 'pieces' is of type double, not a whole number"),
        (DAILY.replace("date_trunc('day', paid)", "paid::DATE"), "not a time with a zone"),
        (DAILY.replace("SELECT customer", "SELECT length(customer) AS customer"), "not text"),
    ],
)
def test_sql_that_cannot_be_right_is_refused_with_the_reason(sql: str, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=f"source 'daily': its SQL cannot be right.*({reason})"):
        Bench(daily(sql)).check()


def test_sql_with_names_of_its_own_and_lists_is_taken() -> None:
    Bench(daily(f"WITH days AS ({DAILY}) SELECT days.* FROM days, unnest([1]) AS one WHERE spent > 0;")).check()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "which columns identify a row"),
        ({"inputs": []}, "inputs are the sources"),
        ({"inputs": ["payments"]}, "inputs are the sources"),
        ({"schema": {**SPENT, "computed_at": oc.Timestamp}}, "leave it out"),
        ({"every": "soon"}, "interval"),
        ({"id": ["nobody"]}, "nobody"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        daily(**changes)


def test_its_definition_names_its_inputs() -> None:
    plain = document(daily())
    assert isinstance(plain, dict)
    assert (plain["inputs"], plain["every_s"]) == (["payments"], 3600)


def test_its_events_cannot_be_sent() -> None:
    bench = Bench(daily())
    with pytest.raises(InvalidRequest, match="made by its SQL") as raised:
        sendable(bench.project, "daily")
    assert "octavo sources refresh daily" in str(raised.value.fix)
    assert isinstance(sendable(bench.project, "payments"), Source)
