"""Delta tables with several processes, compactions and lost files."""

import shutil
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from octavo.errors import IntegrityError
from octavo.stores import delta
from octavo.stores.delta import DeltaTables
from tests.integration.stores.processes import python

SCHEMA = pa.schema([("writer", pa.string()), ("number", pa.int64())])

APPEND = """
import sys
from pathlib import Path
import pyarrow as pa
from octavo.stores.delta import DeltaTables
root, writer, count = sys.argv[1:]
tables = DeltaTables(Path(root))
schema = pa.schema([("writer", pa.string()), ("number", pa.int64())])
tables.ensure("outcomes", schema)
for number in range(int(count)):
    rows = pa.table({"writer": [writer], "number": [number]}, schema=schema)
    print(number, tables.append("outcomes", rows, writer=writer, sequence=number), flush=True)
"""


def rows(*numbers: int) -> pa.Table:
    return pa.table({"writer": ["w"] * len(numbers), "number": list(numbers)}, schema=SCHEMA)


def numbers(tables: DeltaTables, writer: str = "w") -> list[int]:
    sql = "SELECT number FROM t WHERE writer = $writer ORDER BY number"
    found = tables.query(sql, tables={"t": "outcomes"}, parameters={"writer": writer})
    return [int(number) for number in found["number"].to_pylist()]


def live_files(root: Path) -> set[str]:
    return set(DeltaTable(root / "outcomes").file_uris())


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    store = DeltaTables(tmp_path)
    store.ensure("outcomes", SCHEMA)
    return store


def test_appends_are_there_once_after_kill_9(tables: DeltaTables, tmp_path: Path) -> None:
    with python(APPEND, tmp_path, "w", 10**9) as child:
        acknowledged = [child.line() for _ in range(15)] + child.kill()
    last = tables.written("outcomes", "w")
    assert last >= int(acknowledged[-1].split()[0])
    assert numbers(tables) == list(range(last + 1))
    assert not tables.append("outcomes", rows(last), writer="w", sequence=last)


def test_two_processes_with_one_writer_append_each_sequence_once(tables: DeltaTables, tmp_path: Path) -> None:
    with python(APPEND, tmp_path, "w", 30) as one, python(APPEND, tmp_path, "w", 30) as two:
        told = one.finish() + two.finish()
    assert numbers(tables) == list(range(30))
    assert sum(line.endswith("True") for line in told) == 30


def test_writers_in_different_processes_do_not_disturb_each_other(tables: DeltaTables, tmp_path: Path) -> None:
    with python(APPEND, tmp_path, "one", 20) as one, python(APPEND, tmp_path, "two", 20) as two:
        one.finish()
        two.finish()
    assert numbers(tables, "one") == numbers(tables, "two") == list(range(20))


def test_a_reader_sees_what_another_instance_appended_and_compacted(tables: DeltaTables, tmp_path: Path) -> None:
    reader = DeltaTables(tmp_path)
    assert numbers(reader) == []
    for number in range(3):
        tables.append("outcomes", rows(number), writer="w", sequence=number)
        assert numbers(reader) == list(range(number + 1))
    tables.compact("outcomes")
    assert numbers(reader) == [0, 1, 2]
    assert reader.version("outcomes") == tables.version("outcomes")


def test_small_files_are_merged_as_they_gather(
    tables: DeltaTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "SMALL_FILES", 5)
    for number in range(12):
        tables.append("outcomes", rows(number), writer="w", sequence=number)
    assert len(live_files(tmp_path)) < 5
    assert numbers(tables) == list(range(12))


def test_a_file_that_no_commit_names_is_not_read(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("outcomes", rows(1), writer="w", sequence=1)
    [file] = live_files(tmp_path)
    shutil.copy(file, Path(file).with_name("left-by-a-writer-that-died.parquet"))
    assert numbers(tables) == [1]


def test_a_lost_file_is_an_error_that_says_so_and_the_store_lives_on(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("outcomes", rows(1), writer="w", sequence=1)
    [file] = live_files(tmp_path)
    Path(file).unlink()
    with pytest.raises(IntegrityError, match="a file of outcomes is gone"):
        numbers(tables)
    assert tables.query("SELECT 1 AS one", tables={})["one"].to_pylist() == [1]


def test_a_table_whose_folder_was_removed_can_be_made_anew(tables: DeltaTables, tmp_path: Path) -> None:
    tables.append("outcomes", rows(1), writer="w", sequence=1)
    shutil.rmtree(tmp_path / "outcomes")
    assert tables.version("outcomes") == -1
    tables.ensure("outcomes", SCHEMA)
    assert numbers(tables) == []


def test_threads_may_query_while_another_appends(tables: DeltaTables) -> None:
    wrong: list[list[int]] = []

    def watch() -> None:
        for _ in range(30):
            found = numbers(tables)
            if found != list(range(len(found))):
                wrong.append(found)

    threads = [threading.Thread(target=watch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(30):
        tables.append("outcomes", rows(number), writer="w", sequence=number)
    for thread in threads:
        thread.join()
    assert (wrong, numbers(tables)) == ([], list(range(30)))
