"""The little of Markdown that model cards are written in, as HTML in which no text becomes markup.

Headings, paragraphs, bullets, tables and code within a line. Everything else stays as it was written.
"""

import re
from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_RULE = re.compile(r"\|[\s:|-]+\|\s*\Z")


def prose(text: str) -> Markup:
    """A text as blocks of HTML."""
    return Markup("\n").join(_block(kind, list(lines)) for kind, lines in groupby(text.splitlines(), key=_kind) if kind)


def _kind(line: str) -> str:
    if not line.strip():
        return ""
    if _HEADING.match(line):
        return "heading"
    if line.startswith(("- ", "* ")):
        return "bullets"
    return "table" if line.startswith("|") else "paragraph"


def _block(kind: str, lines: Sequence[str]) -> Markup:
    match kind:
        case "heading":
            return Markup("").join(_heading(line) for line in lines)
        case "bullets":
            items = Markup("").join(Markup("<li>{}</li>").format(_inline(line[2:])) for line in lines)
            return Markup("<ul>{}</ul>").format(items)
        case "table":
            return _table(lines)
        case _:
            return Markup("<p>{}</p>").format(_inline(" ".join(line.strip() for line in lines)))


def _heading(line: str) -> Markup:
    match = _HEADING.match(line)
    return Markup("<h3>{}</h3>").format(_inline(match[2] if match else line))


def _table(lines: Sequence[str]) -> Markup:
    head, *body = [_cells(line) for line in lines if not _RULE.match(line)] or [[]]
    names = Markup("").join(Markup('<th scope="col">{}</th>').format(cell) for cell in head)
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row))
        for row in body
    )
    table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(names, rows)
    return Markup('<div class="scroll" tabindex="0" role="group" aria-label="Table">{}</div>').format(table)


def _cells(line: str) -> list[Markup]:
    return [_inline(cell.strip()) for cell in line.strip().strip("|").split("|")]


def _inline(text: str) -> Markup:
    parts = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )
