"""Sending events: files, the input stream, interruptions."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.cli.shop import Shop, jsonl, visits

from octavo.features.events.ingest import ROWS_PER_PAYLOAD
from octavo.features.events.payloads import topic_of
from octavo.stores.log import LocalLog

N = len(visits())


def rows_in_table(shop: Shop) -> int:
    shop.done("materialize")
    with shop.context() as context:
        found = context.stores.tables.query("SELECT count(*) AS n FROM v", tables={"v": "events/visits"})
    count: int = found.column("n")[0].as_py()
    return count


@pytest.mark.parametrize("file", ["visits.parquet", "visits.jsonl"])
def test_a_file_is_named_as_its_source_is(file: str, empty_shop: Shop) -> None:
    (accepted,) = empty_shop.json("ingest", file)
    assert (accepted["source"], accepted["rows"]) == ("visits", N)
    assert rows_in_table(empty_shop) == N


def test_a_file_of_another_name_needs_its_source(empty_shop: Shop) -> None:
    (empty_shop.folder / "visits.jsonl").rename("today.jsonl")
    result = empty_shop.run("ingest", "today.jsonl")
    assert result.exit_code == 7
    assert "no source named 'today'" in result.stderr
    assert "or say whose events are in today.jsonl: --source NAME" in result.stderr
    assert empty_shop.json("ingest", "today.jsonl", "--source", "visits")[0]["rows"] == N


def test_a_file_that_is_not_there_is_said_to_be(empty_shop: Shop) -> None:
    result = empty_shop.run("ingest", "yesterday.jsonl")
    assert result.exit_code == 7
    assert "there is no file named 'yesterday.jsonl'" in result.stderr


def test_sending_again_doubles_nothing(empty_shop: Shop) -> None:
    for file in ("visits.parquet", "visits.jsonl", "visits.parquet"):
        empty_shop.done("ingest", file)
    assert rows_in_table(empty_shop) == N


def test_several_files_are_accepted_at_once(empty_shop: Shop) -> None:
    accepted = empty_shop.json("ingest", "visits.parquet", "visits.jsonl")
    assert [part["rows"] for part in accepted] == [N, N]


def test_lines_come_from_the_input_stream(empty_shop: Shop) -> None:
    lines = (empty_shop.folder / "visits.jsonl").read_text()
    assert empty_shop.json("ingest", "-", "-s", "visits", input=lines)[0]["rows"] == N
    assert rows_in_table(empty_shop) == N


def test_the_input_stream_needs_a_source(empty_shop: Shop) -> None:
    result = empty_shop.run("ingest", "-", input="{}")
    assert result.exit_code == 5
    assert "--source NAME" in result.stderr


def test_a_wrong_row_is_named_with_its_field_and_fix(empty_shop: Shop) -> None:
    rows = visits()
    rows[7]["items"] = "many"
    result = empty_shop.run("ingest", "-", "-s", "visits", "--json", input="\n".join(map(jsonl, rows)))
    problem = json.loads(result.stderr)
    assert (result.exit_code, problem["field"]) == (5, "rows[7].items")
    assert problem["fix"]


def test_interrupted_it_keeps_what_was_accepted_and_sending_again_doubles_nothing(empty_shop: Shop) -> None:
    rows = [{**row, "number": number} for number, row in enumerate(visits() * 28)]
    command = [Path(sys.executable).with_name("octavo"), "ingest", "-", "--source", "visits"]
    sender = subprocess.Popen(
        command, cwd=empty_shop.folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert sender.stdin is not None
    sender.stdin.writelines(f"{jsonl(row)}\n" for row in rows[: ROWS_PER_PAYLOAD + 1])
    sender.stdin.flush()
    stream = LocalLog(empty_shop.folder / ".octavo" / "stream", sync=False)
    deadline = time.monotonic() + 60
    while not stream.end(topic_of("visits")) and time.monotonic() < deadline:
        time.sleep(0.02)
    stream.close()
    sender.send_signal(signal.SIGINT)
    out, err = sender.communicate(timeout=60)
    assert (sender.returncode, out) == (130, "")
    assert "is kept, and sending all of it again doubles nothing" in err
    empty_shop.done("ingest", "-", "-s", "visits", input="\n".join(map(jsonl, rows)))
    assert rows_in_table(empty_shop) == len(rows)


def test_wrong_rows_are_kept_if_that_is_wished_and_told_of(empty_shop: Shop) -> None:
    lines = (empty_shop.folder / "visits.jsonl").read_text() + '{"number": "many"}\nno JSON\n'
    [accepted] = empty_shop.json("ingest", "-", "-s", "visits", "--keep-bad", input=lines)
    assert (accepted["rows"], accepted["bad"]) == (N, 2)
    assert [row["row"] for row in accepted["kept"]] == [N, N + 1]
    assert empty_shop.json("events") == {"visits": 2}
    assert [
        letter["event"] for letter in empty_shop.json("events", "dead", "visits", "--reason", "no JSON")["letters"]
    ] == ["no JSON"]


def test_the_wrong_line_of_the_input_stream_is_named(empty_shop: Shop) -> None:
    result = empty_shop.run("ingest", "-", "-s", "visits", input=f"{jsonl(visits()[0])}\n\nthree\n")
    assert result.exit_code == 5
    assert "line 3 is no JSON object" in result.stderr


def test_a_column_that_was_added_upstream_is_declared_and_its_dead_letters_are_replayed(empty_shop: Shop) -> None:
    *known, new = visits()
    lines = "\n".join(map(jsonl, [*known, new | {"card": "gold"}]))
    empty_shop.done("ingest", "-", "-s", "visits", "--keep-bad", input=lines)
    assert rows_in_table(empty_shop) == N - 1
    module = empty_shop.folder / "project.py"
    module.write_text(
        module.read_text().replace(
            '"spent": oc.Float64},\n)\ndaily', '"spent": oc.Float64, "card": oc.String},\n)\ndaily'
        )
    )
    empty_shop.done("apply")
    assert empty_shop.json("events", "replay", "visits")["replayed"] == 1
    assert rows_in_table(empty_shop) == N
    assert empty_shop.json("events") == {}
