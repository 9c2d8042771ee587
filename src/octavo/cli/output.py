"""How answers are shown: tables for people, JSON for programs.

Answers go to the output stream, all else to the error stream.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from octavo.cli.measures import number

console = Console(stderr=True, highlight=False)
_out = Console(highlight=False)
_wide = Console(highlight=False, width=10_000)


def emit_json(answer: object) -> None:
    """Print an answer as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line of the answer, with rich markup; `plain` is for what others wrote."""
    _out.print(text, soft_wrap=True)


def note(text: str) -> None:
    """Print a line that is no part of the answer, to the error stream, with rich markup."""
    console.print(text, soft_wrap=True)


def plain(text: object) -> str:
    """A text that others wrote, so that nothing in it is taken for markup."""
    return escape(str(text))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows as a table: in a terminal as wide as that, elsewhere with each row on one line.

    Parameters
    ----------
    columns : sequence of str
        Headers; one that starts with ``>`` is right-aligned.
    rows : iterable of sequence
        What `cell` takes, or a rich `Text`.
    empty : str
        What to say, and to do next, where there are no rows.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else Text(cell(value)) for value in row))
    if not table.row_count:
        say(empty)
    else:
        _print(table)


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(cell(value)))
    _print(table)


def cell(value: object) -> str:
    """One value as people read it; missing is a dash, never 0."""
    match value:
        case None | "" | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case float():
            return number(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case tuple() | list():
            return ", ".join(str(item) for item in value)
    return str(value)


def _print(table: Table) -> None:
    if _out.is_terminal:
        _out.print(table)
        return
    with _wide.capture() as captured:
        _wide.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
