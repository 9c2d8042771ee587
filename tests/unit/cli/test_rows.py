"""Rows as people give them."""

import io
import sys
from pathlib import Path

import pytest

from octavo.cli.rows import read_lines, read_rows
from octavo.errors import InvalidRequest, NotFound

ROWS = [{"a": 1}, {"a": 2}]
TEXTS = ['[{"a": 1}, {"a": 2}]', '{"a": 1}\n{"a": 2}\n', '\n{"a": 1}\n\n{"a": 2}']


def give(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("given", [None, "-"])
def test_the_input_stream_holds_a_list_or_lines(given: str | None, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give(text, monkeypatch)
    assert read_rows(given) == ROWS


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_holds_a_list_or_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    assert read_rows(str(tmp_path / "rows.jsonl")) == ROWS


def test_json_may_be_written_out() -> None:
    assert read_rows(' {"a": 1}') == [{"a": 1}]
    assert read_rows('[{"a": 1}, {"a": 2}]') == ROWS


@pytest.mark.parametrize("given", ["[]", "[1]", "{", "[{}, 3]", '{"a": 1}\nnothing'])
def test_what_is_no_rows_is_refused_with_the_fix(given: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_rows(given)
    assert refused.value.field == "rows"
    assert "one object per line" in (refused.value.fix or "")


def test_the_line_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidRequest, match="line 2 of the argument is no JSON object"):
        read_rows('{"a": 1}\nnothing')


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file named"):
        read_rows(str(tmp_path / "rows.jsonl"))


def test_nobody_is_left_waiting_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    give("", monkeypatch)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(InvalidRequest, match="no rows were given"):
        read_rows(None)


def test_lines_come_in_parts_as_they_were_sent_with_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    give('{"a": 1}\n\n {"a":2}\nthree\n', monkeypatch)
    assert list(read_lines(at_most=2)) == [[(1, b'{"a": 1}'), (3, b'{"a":2}')], [(4, b"three")]]
