"""Rows of JSON, as people give them to a command: written out, in a file, or on the input stream."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from octavo.errors import InvalidRequest, NotFound

Row = dict[str, Any]

STDIN = "-"
_FIX = "give an object, a list of objects, or one object per line"


def read_rows(given: str | None) -> list[Row]:
    """The rows that an argument gives.

    Parameters
    ----------
    given : str or None
        JSON itself, where it begins with ``{`` or ``[``; ``-`` or None for the input stream; else a file's path. What a
        file or the input stream holds is an object, a list of objects, or one object per line.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidRequest
        If it holds no rows.
    """
    if given is None or given == STDIN:
        return _rows(_input(), where="the input stream")
    if given.lstrip().startswith(("{", "[")):
        return _rows(given.encode(), where="the argument")
    path = Path(given)
    if not path.is_file():
        raise NotFound("file", given, fix="give JSON, a file that there is, or - for the input stream")
    return _rows(path.read_bytes(), where=path.name)


def read_lines(*, at_most: int) -> Iterator[list[tuple[int, bytes]]]:
    """The lines of the input stream with their numbers from 1, in parts of `at_most`; empty ones are left out."""
    _refuse_terminal()
    lines = ((number, line.strip()) for number, line in enumerate(sys.stdin.buffer, start=1) if line.strip())
    while part := list(islice(lines, at_most)):
        yield part


def _input() -> bytes:
    _refuse_terminal()
    return sys.stdin.buffer.read()


def _refuse_terminal() -> None:
    if sys.stdin.isatty():
        raise InvalidRequest("no rows were given", field="rows", fix="give JSON, a file, or pipe rows in")


def _rows(data: bytes, *, where: str) -> list[Row]:
    try:
        found = msgspec.json.decode(data, type=list[Row] | Row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:
            raise InvalidRequest(f"{where} holds no rows of JSON: {error}", field="rows", fix=_FIX) from error
        return [_row(line, where=f"line {number} of {where}") for number, line in enumerate(lines, start=1)]
    rows = [found] if isinstance(found, dict) else found
    if not rows:
        raise InvalidRequest(f"{where} holds no rows", field="rows", fix=_FIX)
    return rows


def _row(line: bytes, *, where: str) -> Row:
    try:
        return msgspec.json.decode(line, type=Row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{where} is no JSON object: {error}", field="rows", fix=_FIX) from error
