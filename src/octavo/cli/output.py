"""How answers are shown: tables for people, JSON for programs.

Answers go to the output stream, all else to the error stream.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from octavo.cli.measures import number

console = Console(stderr=True, highlight=False)
_out = Console(highlight=False)
_wide = Console(highlight=False, width=10_000)
_WRAPPED, _GAP = 20, 2
"""To how many characters a column may be wrapped, and how many lie between two."""


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
        Headers. One that starts with ``?`` is left out where the terminal is too narrow for it, the last one first; one
        that then starts with ``>`` is right-aligned. The first one names a row, and is never wrapped.
    rows : iterable of sequence
        What `cell` takes, or a rich `Text`.
    empty : str
        What to say, and to do next, where there are no rows.
    """
    cells = [[value if isinstance(value, Text) else Text(cell(value)) for value in row] for row in rows]
    if not cells:
        say(empty)
        return
    kept = _fitting(columns, cells, width=_out.width if _out.is_terminal else None)
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for place in kept:
        header = columns[place].lstrip("?")
        side: JustifyMethod = "right" if header.startswith(">") else "left"
        table.add_column(header.lstrip(">"), justify=side, overflow="fold", no_wrap=place == 0)
    for row in cells:
        table.add_row(*(row[place] for place in kept))
    _print(table)
    if len(kept) < len(columns):
        left_out = (column.lstrip("?>") for place, column in enumerate(columns) if place not in kept)
        note(f"[dim]The terminal is too narrow for: {', '.join(left_out)}. --json has all.[/]")


def _fitting(columns: Sequence[str], cells: Sequence[Sequence[Text]], *, width: int | None) -> list[int]:
    """The columns that fit into a width, by their places."""
    kept = list(range(len(columns)))
    if width is None:
        return kept
    needed = [max(len(columns[place].lstrip("?>")), *(len(row[place]) for row in cells)) for place in kept]
    needed[1:] = [min(widest, _WRAPPED) for widest in needed[1:]]
    for place in reversed(range(len(columns))):
        if columns[place].startswith("?") and sum(needed[k] + _GAP for k in kept) - _GAP > width:
            kept.remove(place)
    return kept


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
