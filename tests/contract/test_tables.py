"""What every store of tables promises."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from octavo.errors import Conflict, InvalidRequest, NotFound
from octavo.stores.delta import DeltaTables
from octavo.stores.memory import MemoryTables
from octavo.stores.ports import Tables

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("event", pa.binary(16)),
        ("inputs", pa.list_(pa.float32())),
        ("status", pa.list_(pa.int8())),
        ("value", pa.float64()),
        ("count", pa.int64()),
        ("ok", pa.bool_()),
    ]
)


@pytest.fixture(params=["memory", "delta"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    store: Tables = MemoryTables() if request.param == "memory" else DeltaTables(tmp_path)
    store.ensure("events/trips", SCHEMA)
    return store


def rows(*ids: str) -> pa.Table:
    return pa.table(
        {
            "id": list(ids),
            "at": [NOON] * len(ids),
            "event": [b"0123456789abcdef"] * len(ids),
            "inputs": [[1.5, None]] * len(ids),
            "status": [[0, 2]] * len(ids),
            "value": [None] * len(ids),
            "count": [2**62] * len(ids),
            "ok": [True] * len(ids),
        },
        schema=SCHEMA,
    )


def ids(tables: Tables) -> list[str]:
    found = tables.query("SELECT id FROM t ORDER BY id", tables={"t": "events/trips"})
    return [str(value) for value in found["id"].to_pylist()]


def test_rows_come_back_as_they_were_appended(tables: Tables) -> None:
    tables.append("events/trips", rows("a"), writer="w", sequence=0)
    back = tables.query("SELECT * FROM t", tables={"t": "events/trips"})
    assert back.to_pylist() == rows("a").to_pylist()


def test_times_come_back_in_utc(tables: Tables) -> None:
    tables.append("events/trips", rows("a"), writer="w", sequence=0)
    back = tables.query('SELECT "at", "at" + INTERVAL 1 HOUR AS later FROM t', tables={"t": "events/trips"})
    assert [str(kind) for kind in back.schema.types] == ["timestamp[us, tz=UTC]"] * 2


def test_an_empty_table_can_be_queried(tables: Tables) -> None:
    assert ids(tables) == []


def test_ensuring_again_keeps_the_rows(tables: Tables) -> None:
    tables.append("events/trips", rows("a"), writer="w", sequence=0)
    tables.ensure("events/trips", SCHEMA)
    assert ids(tables) == ["a"]


def test_ensuring_other_columns_is_a_conflict(tables: Tables) -> None:
    with pytest.raises(Conflict, match="'events/trips' exists with other columns"):
        tables.ensure("events/trips", pa.schema([("id", pa.int64())]))


def test_ensuring_more_columns_adds_them_with_nulls(tables: Tables) -> None:
    tables.append("events/trips", rows("a"), writer="w", sequence=3)
    before = tables.version("events/trips")
    tables.ensure("events/trips", SCHEMA.append(pa.field("more", pa.float64())))
    tables.ensure("events/trips", SCHEMA.append(pa.field("more", pa.float64())))
    assert tables.version("events/trips") == before + 1
    wider = rows("b").append_column("more", pa.array([1.5]))
    assert not tables.append("events/trips", wider, writer="w", sequence=3)
    assert tables.append("events/trips", wider, writer="w", sequence=4)
    found = tables.query("SELECT id, more FROM t ORDER BY id", tables={"t": "events/trips"})
    assert found.to_pylist() == [{"id": "a", "more": None}, {"id": "b", "more": 1.5}]


def test_an_empty_table_can_be_given_more_columns(tables: Tables) -> None:
    tables.ensure("events/trips", SCHEMA.append(pa.field("more", pa.float64())))
    assert tables.query("SELECT * FROM t", tables={"t": "events/trips"}).column_names == [*SCHEMA.names, "more"]


@pytest.mark.parametrize("kind", [pa.uint8(), pa.timestamp("us"), pa.timestamp("ns", tz="UTC"), pa.date32()], ids=str)
def test_types_that_would_come_back_as_others_are_refused(tables: Tables, kind: pa.DataType) -> None:
    with pytest.raises(InvalidRequest, match="column 'x' has type"):
        tables.ensure("odd", pa.schema([("x", kind)]))


@pytest.mark.parametrize("name", ["../x", "/x", "A", "", "a//b", "a" * 300])
def test_names_that_lead_elsewhere_are_refused(tables: Tables, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot name a table"):
        tables.ensure(name, SCHEMA)


def test_a_sequence_is_written_once(tables: Tables) -> None:
    assert tables.append("events/trips", rows("a"), writer="w", sequence=7)
    assert not tables.append("events/trips", rows("a"), writer="w", sequence=7)
    assert not tables.append("events/trips", rows("b"), writer="w", sequence=6)
    assert ids(tables) == ["a"]


def test_writers_number_on_their_own(tables: Tables) -> None:
    tables.append("events/trips", rows("a"), writer="one", sequence=7)
    assert tables.append("events/trips", rows("b"), writer="two", sequence=0)
    assert [tables.written("events/trips", writer) for writer in ("one", "two", "three")] == [7, 0, -1]


def test_an_append_of_no_rows_still_counts(tables: Tables) -> None:
    assert tables.append("events/trips", rows(), writer="w", sequence=3)
    assert tables.written("events/trips", "w") == 3


def test_columns_may_come_in_any_order(tables: Tables) -> None:
    tables.append("events/trips", rows("a").select(SCHEMA.names[::-1]), writer="w", sequence=0)
    assert ids(tables) == ["a"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (rows("a").drop_columns(["ok"]), "lack 'ok'"),
        (rows("a").append_column("extra", pa.array([1])), "bring 'extra'"),
        (rows("a").set_column(6, "count", pa.array(["many"])), "many"),
    ],
    ids=["missing", "unknown", "wrong type"],
)
def test_rows_that_do_not_fit_are_refused_whole(tables: Tables, wrong: pa.Table, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        tables.append("events/trips", wrong, writer="w", sequence=0)
    assert (ids(tables), tables.written("events/trips", "w")) == ([], -1)


def test_a_table_that_was_never_ensured_cannot_be_appended_to(tables: Tables) -> None:
    with pytest.raises(NotFound, match="no table named 'events/trip'; did you mean 'events/trips'"):
        tables.append("events/trip", rows("a"), writer="w", sequence=0)


def test_a_table_that_was_never_ensured_cannot_be_queried(tables: Tables) -> None:
    with pytest.raises(NotFound):
        tables.query("SELECT * FROM t", tables={"t": "outcomes"})


def test_a_table_that_was_never_ensured_has_no_version_and_no_writers(tables: Tables) -> None:
    assert (tables.version("outcomes"), tables.written("outcomes", "w")) == (-1, -1)


def test_the_version_rises_with_every_append(tables: Tables) -> None:
    before = tables.version("events/trips")
    tables.append("events/trips", rows("a"), writer="w", sequence=0)
    assert tables.version("events/trips") > before


def test_tables_frames_and_parameters_meet_in_one_query(tables: Tables) -> None:
    tables.append("events/trips", rows("a", "b", "c"), writer="w", sequence=0)
    back = tables.query(
        'SELECT f.n FROM t JOIN f USING (id) WHERE t."at" = $moment AND f.n > $least',
        tables={"t": "events/trips"},
        frames={"f": pa.table({"id": ["a", "b"], "n": [1, 2]})},
        parameters={"moment": NOON, "least": 1},
    )
    assert back["n"].to_pylist() == [2]


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "DROP VIEW t", "", "SELEC", "SELECT nothing FROM t"])
def test_what_is_not_one_select_that_runs_is_refused(tables: Tables, sql: str) -> None:
    with pytest.raises(InvalidRequest):
        tables.query(sql, tables={"t": "events/trips"})


def test_compaction_changes_no_row_and_no_sequence(tables: Tables) -> None:
    for sequence in range(5):
        tables.append("events/trips", rows(f"r{sequence}"), writer="w", sequence=sequence)
    tables.compact("events/trips")
    assert ids(tables) == ["r0", "r1", "r2", "r3", "r4"]
    assert not tables.append("events/trips", rows("again"), writer="w", sequence=4)


def test_a_pinned_version_can_be_read_whatever_comes_later(tables: Tables) -> None:
    tables.append("events/trips", rows("a"), writer="w", sequence=0)
    pinned = tables.pin("events/trips")
    tables.append("events/trips", rows("b"), writer="w", sequence=1)
    tables.compact("events/trips")
    back = tables.query("SELECT id FROM t", tables={"t": "events/trips"}, versions={"events/trips": pinned})
    assert back["id"].to_pylist() == ["a"]
    assert ids(tables) == ["a", "b"]


def test_an_empty_version_can_be_pinned(tables: Tables) -> None:
    pinned = tables.pin("events/trips")
    tables.append("events/trips", rows("a"), writer="w", sequence=0)
    back = tables.query("SELECT id FROM t", tables={"t": "events/trips"}, versions={"events/trips": pinned})
    assert back["id"].to_pylist() == []


def test_a_version_that_was_not_pinned_is_not_found(tables: Tables) -> None:
    with pytest.raises(NotFound, match="events/trips@7"):
        tables.query("SELECT id FROM t", tables={"t": "events/trips"}, versions={"events/trips": 7})


def test_a_table_that_does_not_exist_has_no_version_to_pin(tables: Tables) -> None:
    assert tables.pin("events/others") == -1
