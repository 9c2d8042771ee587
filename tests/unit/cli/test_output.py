"""Answers in a terminal and elsewhere."""

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.shop import Shop

from octavo.cli.measures import bar, duration, number
from octavo.cli.output import cell, plain, say, show_facts, show_table


def test_where_there_is_no_terminal_each_row_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["name", ">rows"], [["a" * 300, 5], ["b", 1234]], empty="none")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{'name':300}  rows", f"{'a' * 300}     5", f"{'b':300}  1234"]


def test_where_there_are_no_rows_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["name"], [], empty="No model yet.")
    assert capsys.readouterr().out == "No model yet.\n"


def test_what_others_wrote_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["cause"], [["[red]not[/red] a colour"]], empty="none")
    show_facts([("cause", "[b]old")])
    say(plain("[link]"))
    assert capsys.readouterr().out == "cause\n[red]not[/red] a colour\ncause  [b]old\n[link]\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ((), "-"),
        (0, "0"),
        (0.0, "0"),
        (True, "yes"),
        (False, "no"),
        (0.123456, "0.1235"),
        (123456.7, "123,457"),
        (("a", "b"), "a, b"),
        (datetime(2013, 12, 1, 5, 30, tzinfo=UTC), "2013-12-01 05:30"),
    ],
)
def test_a_value_reads_well_and_what_is_missing_is_never_zero(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.5, "0.5 s"), (90, "1.5 min"), (86_400, "24 h"), (259_200, "3 d"), (604_800, "7 d")]
)
def test_a_length_of_time_reads_well(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(("value", "shown"), [(1e20, "1e+20"), (-2500.4, "-2,500"), (float("nan"), "nan")])
def test_an_absurd_number_is_still_short(value: float, shown: str) -> None:
    assert number(value) == shown


BARS = [(0, ""), (1, "████"), (0.5, "██"), (0.53, "██▏"), (0.01, ""), (7, "████")]


@pytest.mark.parametrize(("share", "shown"), BARS)
def test_a_bar_is_as_long_as_its_share(share: float, shown: str) -> None:
    assert bar(share, width=4) == shown


def in_terminal(shop: Shop, *arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of eighty columns."""
    main, terminal = pty.openpty()
    command = [Path(sys.executable).with_name("octavo"), *arguments]
    settings = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=settings, cwd=shop.folder)
    os.close(terminal)
    written = b""
    try:
        while chunk := os.read(main, 65_536):
            written += chunk
    except OSError:
        pass  # Linux answers so when the other end is closed
    finally:
        os.close(main)
    assert process.wait(60) == 0
    return written.decode()


def test_in_a_terminal_there_is_style_and_no_line_is_longer_than_it(shop: Shop) -> None:
    written = in_terminal(shop, "models", "version", "spending", "1", NO_COLOR="")
    assert "\x1b[32m" in written
    plain_lines = [line for line in written.replace("\r", "").splitlines() if "\x1b" not in line]
    assert max(map(len, plain_lines)) <= 80


def test_in_a_narrow_terminal_columns_that_can_be_spared_are_left_out(shop: Shop) -> None:
    narrow, wide = (in_terminal(shop, "runs", COLUMNS=columns, NO_COLOR="1") for columns in ("80", "200"))
    assert "started by" not in narrow.splitlines()[0]
    assert "too narrow for: started, took, metrics, started by." in narrow.replace("\r\n", " ")
    assert "started by" in wide.splitlines()[0]
    assert "too narrow" not in wide


def test_who_wants_no_colour_gets_none(shop: Shop) -> None:
    assert "\x1b[3" not in in_terminal(shop, "models", "version", "spending", "1", NO_COLOR="1")
