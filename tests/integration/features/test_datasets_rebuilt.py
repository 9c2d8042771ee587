"""Datasets from Delta tables on disk, made again after whatever happens to the tables."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from octavo.features.datasets.operations import BuildDataset, RebuildDataset, build_dataset, rebuild_dataset
from octavo.features.events.payloads import table_of, table_schema
from octavo.stores import delta
from octavo.stores.delta import DeltaTables
from tests.workshop import START, Workshop, boosted, declare, open_workshop, visits

TABLE = table_of("visits")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop whose events are in many small files."""
    opened = open_workshop(tmp_path, declare(boosted))
    rows = opened.context.stores.tables.query("SELECT * FROM t", tables={"t": TABLE})
    tables = DeltaTables(tmp_path / "tables")
    tables.ensure(TABLE, table_schema(visits))
    for start in range(0, len(rows), 100):
        tables.append(TABLE, rows.slice(start, 100), writer="test", sequence=start)
    return replace(opened, context=replace(opened.context, stores=replace(opened.context.stores, tables=tables)))


def test_it_is_the_same_after_more_events_and_compactions(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "_KEEP_REPLACED_H", 0)
    first = build_dataset(BuildDataset(model="boosted"), workshop.context)
    tables = workshop.context.stores.tables
    late = tables.query("SELECT * FROM t LIMIT 50", tables={"t": TABLE})
    tables.append(TABLE, late, writer="test", sequence=10_000)
    tables.compact(TABLE)
    tables.append(TABLE, late, writer="test", sequence=10_001)
    tables.compact(TABLE)
    assert rebuild_dataset(RebuildDataset(dataset=first.digest), workshop.context).equal
    assert build_dataset(BuildDataset(model="boosted"), workshop.context).digest != first.digest


def test_a_grid_of_another_process_is_the_same(workshop: Workshop, tmp_path: Path) -> None:
    asked = BuildDataset(views=("takings",), every="6h", since=START, until=START + timedelta(days=9))
    first = build_dataset(asked, workshop.context)
    reopened = replace(workshop.context.stores, tables=DeltaTables(tmp_path / "tables"))
    assert rebuild_dataset(RebuildDataset(dataset=first.digest), replace(workshop.context, stores=reopened)).equal
