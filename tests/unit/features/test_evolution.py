"""Sources whose declaration changes while they hold events."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest
from tests.plants import memory_stores

import octavo as oc
from octavo.clock import EPOCH, ManualClock
from octavo.definitions.project import Project, collect
from octavo.definitions.types import DType
from octavo.errors import InvalidDefinition
from octavo.features.events.evolution import check_tables, fit_tables
from octavo.features.events.ingest import BadRows, ingest
from octavo.features.events.letters import replay_letters
from octavo.features.events.sent import SentRows
from octavo.features.online.materialize import materialize
from octavo.features.online.pump import Pump
from octavo.stores.ports import Stores

NOW = EPOCH.replace(year=2026)
OLD: Mapping[str, DType] = {"paid": oc.Timestamp, "customer": oc.String, "amount": oc.Float64}
NEW: Mapping[str, DType] = {**OLD, "currency": oc.String, "fee": oc.Float64}


def project(schema: Mapping[str, DType], *features: Any) -> Project:
    payments = oc.Source("payments", event_time="paid", schema=schema, id=["paid", "customer"])
    module = ModuleType("payments")
    customers = oc.Entity("customer", key="customer")
    module.spent = oc.FeatureView(  # type: ignore[attr-defined]  # what a project's module declares
        "spent", entity=customers, source=payments, features=[oc.sum("amount", over="1h"), *features]
    )
    return collect(module, name="payments", code={})


def send(stores: Stores, declared: Project, *rows: dict[str, object], bad: BadRows = BadRows.REFUSE) -> None:
    complete = [{"paid": NOW.isoformat(), **row} for row in rows]
    source = declared.source("payments")
    ingest(SentRows(rows=complete), source, stream=stores.stream, clock=ManualClock(NOW), bad=bad)


def carry(stores: Stores, declared: Project) -> None:
    pump = Pump(stores, declared, ManualClock(NOW))
    while pump.apply("payments") or pump.ship("payments"):
        pass


def amounts(stores: Stores, columns: str = "customer, currency") -> list[dict[str, Any]]:
    found = stores.tables.query(f"SELECT {columns} FROM t ORDER BY customer", tables={"t": "events/payments"})
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def test_a_column_that_is_added_is_null_in_the_events_that_are_there() -> None:
    stores = memory_stores()
    send(stores, project(OLD), {"customer": "ada", "amount": 1.0})
    carry(stores, project(OLD))
    check_tables(project(NEW), stores.tables)
    fit_tables(project(NEW), stores.tables)
    send(stores, project(NEW), {"customer": "bob", "currency": "EUR"})
    carry(stores, project(NEW))
    assert amounts(stores) == [{"customer": "ada", "currency": None}, {"customer": "bob", "currency": "EUR"}]


def test_events_that_were_on_their_way_meanwhile_have_it_null_too() -> None:
    stores = memory_stores()
    send(stores, project(OLD), {"customer": "ada", "amount": 1.0})
    carry(stores, project(OLD))
    send(stores, project(OLD), {"customer": "bob", "amount": 1.0})
    new = project(NEW, oc.sum("fee", over="1h"))
    fit_tables(new, stores.tables)
    materialize(stores, list(new.views.values()), clock=ManualClock(NOW))
    carry(stores, new)
    assert amounts(stores) == [{"customer": "ada", "currency": None}, {"customer": "bob", "currency": None}]


def test_dead_letters_of_an_unknown_column_are_taken_once_it_is_declared() -> None:
    stores = memory_stores()
    send(stores, project(OLD), {"customer": "ada", "amount": 1.0})
    send(stores, project(OLD), {"customer": "bob", "amount": 2.0, "currency": "EUR"}, bad=BadRows.KEEP)
    carry(stores, project(OLD))
    new = project(NEW)
    fit_tables(new, stores.tables)
    done = replay_letters(new.source("payments"), stream=stores.stream, tables=stores.tables, clock=ManualClock(NOW))
    carry(stores, new)
    assert done.replayed == 1
    assert amounts(stores)[1] == {"customer": "bob", "currency": "EUR"}


@pytest.mark.parametrize(
    "schema",
    [{k: v for k, v in OLD.items() if k != "amount"} | {"price": oc.Float64}, {**OLD, "amount": oc.String}],
    ids=["removed", "retyped"],
)
def test_a_column_that_is_removed_or_changes_its_type_is_refused_with_what_to_do(schema: Mapping[str, DType]) -> None:
    stores = memory_stores()
    send(stores, project(OLD), {"customer": "ada", "amount": 1.0})
    carry(stores, project(OLD))
    module = ModuleType("payments")
    module.payments = oc.Source("payments", event_time="paid", schema=schema)  # type: ignore[attr-defined]  # declared
    for change in (check_tables, fit_tables):
        with pytest.raises(InvalidDefinition, match=r"amount double.*give the source a new name"):
            change(collect(module, name="payments", code={}), stores.tables)
    assert amounts(stores, "customer, amount") == [{"customer": "ada", "amount": 1.0}]


def test_a_source_without_a_table_may_be_anything() -> None:
    fit_tables(project(NEW), memory_stores().tables)
