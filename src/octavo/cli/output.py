"""How answers are shown: tables for people, JSON for programs. Answers go to the output stream, all else to the error stream."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

console = Console(stderr=True, highlight=False)
_out = Console(highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]


def emit_json(answer: object) -> None:
    """Print an answer as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")


def say(text: str) -> None:
    """Print a line of the answer, with rich markup."""
    _out.print(text, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows as a table.

    Parameters
    ----------
    columns : sequence of str
        Headers; one that starts with ``>`` is right-aligned.
    empty : str
        What to say, and to do next, where there are no rows.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    if table.row_count:
        _out.print(table)
    else:
        say(empty)


def cell(value: object) -> str:
    """One value as people read it; missing is a dash, never 0."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case tuple() | list():
            return ", ".join(str(item) for item in value)
    return str(value)
