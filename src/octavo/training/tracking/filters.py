"""Filters and orders of runs as people write them, parsed to data.

    metrics.auc > 0.9 and params.depth = 6 and tags.team in ('fraud', 'risk') and status != 'failed'

A filter is conditions joined by ``and``. What is compared is ``metrics.NAME``, ``params.NAME``, ``tags.NAME`` or a
field of the run; a name with other signs than letters, digits, ``_ - . /`` stands in backticks or double quotes.
Numbers are compared as numbers, also with parameters, which are kept as text; text stands in quotes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.stores.searches import Comparing, Condition, Order

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"])*"|`(?:[^`])*`)
      | (?P<operator><=|>=|!=|<>|==|=|<|>|\(|\)|,)
      | (?P<word>[^\W\d][\w\-/]*)
      | (?P<dot>\.)
    )""",
    re.VERBOSE,
)
_MOST_CHARACTERS, _MOST_CONDITIONS, _MOST_ORDERS = 4_000, 50, 10
_KINDS = {
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
}
_TEXTS = (
    "id",
    "name",
    "status",
    "model",
    "experiment",
    "parent",
    "trigger",
    "by",
    "source",
    "dataset",
    "code",
    "error",
)
_NUMBERS = ("version", "rows", "seconds")
_TIMES = ("started_at", "finished_at", "as_of")
_OTHERWISE = {"started": "started_at", "finished": "finished_at"}
_OPERATORS = {"==": "=", "<>": "!="}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int


@dataclass(frozen=True, slots=True)
class _Field:
    """What is compared: where it is in the record, and as what it is read."""

    path: tuple[str, ...]
    reads: str
    shown: str


def conditions_of(text: str) -> list[Condition]:
    """The conditions of a filter; none of an empty one.

    Raises
    ------
    InvalidRequest
        Where it cannot be read; says at which place, and what was expected there.
    """
    if len(text) > _MOST_CHARACTERS:
        raise LimitExceeded(
            f"the filter has {len(text):,} characters, and may have {_MOST_CHARACTERS:,}", field="where"
        )
    reader = _Reader(text, field="where")
    found: list[Condition] = []
    while not reader.at_end:
        if found:
            reader.expect_word("and")
        found.append(_condition(reader))
        if len(found) > _MOST_CONDITIONS:
            raise LimitExceeded(f"the filter has more than {_MOST_CONDITIONS} conditions", field="where")
    return found


def orders_of(text: str) -> list[Order]:
    """The orders in ``-metrics.auc, started``: apart by commas, the largest first after ``-`` or before ``desc``.

    Raises
    ------
    InvalidRequest
        Where it cannot be read.
    """
    if len(text) > _MOST_CHARACTERS:
        raise LimitExceeded(f"the order has more than {_MOST_CHARACTERS:,} characters", field="sort")
    orders: list[Order] = []
    for part in text.split(",") if text.strip() else []:
        turned = part.strip().startswith("-")
        reader = _Reader(part.strip().removeprefix("-"), field="sort")
        field = _field(reader)
        if not reader.at_end:
            turned = reader.take_word("desc") or (not reader.take_word("asc") and turned)
        reader.expect_end()
        if field.reads == "either":
            orders.append(Order(path=field.path, descending=turned, numeric=True))
        orders.append(Order(path=field.path, descending=turned, numeric=field.reads == "number"))
    if len(orders) > _MOST_ORDERS:
        raise LimitExceeded(f"{len(orders)} orders at once; {_MOST_ORDERS} may be given", field="sort")
    return orders


class _Reader:
    """The tokens of a text, one after the other."""

    def __init__(self, text: str, *, field: str) -> None:
        self._text, self._field = text, field
        self._tokens = list(self._split())
        self._next = 0

    @property
    def at_end(self) -> bool:
        return self._next == len(self._tokens)

    def take(self, expected: str) -> _Token:
        if self.at_end:
            raise self.refused(f"{expected} is missing at its end")
        self._next += 1
        return self._tokens[self._next - 1]

    def peek(self, text: str) -> bool:
        return not self.at_end and self._tokens[self._next].text.lower() == text

    def take_word(self, word: str) -> bool:
        if self.peek(word):
            self._next += 1
            return True
        return False

    def expect_word(self, word: str) -> None:
        if not self.take_word(word):
            raise self.unexpected(self.take(f"{word!r}"), repr(word))

    def expect_end(self) -> None:
        if not self.at_end:
            raise self.unexpected(self._tokens[self._next], "nothing more")

    def unexpected(self, token: _Token, expected: str) -> InvalidRequest:
        return self.refused(f"{token.text!r} at place {token.place + 1} is not {expected}")

    def refused(self, why: str) -> InvalidRequest:
        return InvalidRequest(
            f"{self._field}: {why}",
            field=self._field,
            fix="write for example: metrics.auc > 0.9 and params.depth = 6 and status = 'succeeded'"
            if self._field == "where"
            else "write for example: -metrics.auc, started",
        )

    def _split(self) -> Iterator[_Token]:
        place = 0
        while self._text[place:].strip():
            match = _TOKEN.match(self._text, place)
            if match is None or match.lastgroup is None:
                raise self.refused(f"{self._text[place:].strip()[:20]!r} at place {place + 1} cannot be read")
            yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
            place = match.end()


def _condition(reader: _Reader) -> Condition:
    field = _field(reader)
    token = reader.take("a comparison")
    operator = token.text.lower()
    if operator == "is":
        negated = reader.take_word("not")
        reader.expect_word("null")
        return Condition(path=field.path, comparing=Comparing.PRESENT if negated else Comparing.ABSENT)
    if operator in ("not", "in"):
        if operator == "not":
            reader.expect_word("in")
        comparing = Comparing.NOT_IN if operator == "not" else Comparing.IN
        return _compared(reader, field, comparing, _list(reader, field))
    operator = _OPERATORS.get(operator, operator)
    if operator not in {c.value for c in Comparing} or token.kind not in ("operator", "word") or operator in ("(", ")"):
        raise reader.unexpected(token, "a comparison: = != < <= > >= like ilike in, not in, is null")
    return _compared(reader, field, Comparing(operator), [_value(reader, field)])


def _compared(reader: _Reader, field: _Field, comparing: Comparing, values: list[str | float]) -> Condition:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str)]
    if texts and numbers:
        raise reader.refused(f"{field.shown} is compared with both text and numbers")
    if numbers and comparing in (Comparing.LIKE, Comparing.ILIKE):
        raise reader.refused(f"{comparing} compares text, and {field.shown} is compared with a number")
    return Condition(path=field.path, comparing=comparing, values=tuple(texts) if texts else tuple(numbers))


def _list(reader: _Reader, field: _Field) -> list[str | float]:
    opened = reader.take("'('")
    if opened.text != "(":
        raise reader.unexpected(opened, "'('")
    values = [_value(reader, field)]
    while (token := reader.take("')'")).text == ",":
        values.append(_value(reader, field))
    if token.text != ")":
        raise reader.unexpected(token, "')'")
    return values


def _field(reader: _Reader) -> _Field:
    token = reader.take("a field")
    if token.kind != "word":
        raise reader.unexpected(token, "a field, such as metrics.auc, params.depth or status")
    first = token.text
    if first in ("attributes", "attribute", "attr", "run") and reader.peek("."):
        reader.take("'.'")
        first = reader.take("a field").text
    if first in _KINDS and reader.peek("."):
        reader.take("'.'")
        kind, logged = _KINDS[first], _name(reader)
        reads = {"metrics": "number", "params": "either", "tags": "text"}[kind]
        return _Field((kind, logged), reads, f"{kind}.{logged}")
    name = _OTHERWISE.get(first, first)
    for known, reads in ((_TEXTS, "text"), (_NUMBERS, "number"), (_TIMES, "time")):
        if name in known:
            return _Field((name,), reads, first)
    known_names = ", ".join([*_TEXTS, *_NUMBERS, "started", "finished"])
    raise reader.refused(f"{first!r} is no field; there are metrics.NAME, params.NAME, tags.NAME, {known_names}")


def _name(reader: _Reader) -> str:
    """A metric's, parameter's or tag's name, which may hold dots."""
    token = reader.take("a name")
    if token.kind == "quoted":
        name = token.text[1:-1]
        if not re.fullmatch(r"[\w\-./ :]+", name):
            raise reader.refused(f"{name!r} is no name")
        return name
    parts = [token.text]
    while reader.peek("."):
        reader.take("'.'")
        parts.append(".")
        parts.append(reader.take("a name").text)
    name = "".join(parts)
    if not re.fullmatch(r"[\w\-./]+", name):
        raise reader.refused(f"{name!r} is no name; put names with other signs in backticks")
    return name


def _value(reader: _Reader, field: _Field) -> str | float:
    token = reader.take("a value")
    if token.kind == "number":
        if field.reads == "time":
            return _milliseconds(reader, token)
        if field.reads == "text":
            raise reader.unexpected(token, f"text, which {field.shown} is: put it in quotes")
        return float(token.text)
    if token.kind not in ("text", "quoted"):
        raise reader.unexpected(token, "a number, or text in quotes")
    text = token.text[1:-1].replace("''", "'") if token.kind == "text" else token.text[1:-1]
    if field.reads == "number":
        raise reader.unexpected(token, f"a number, which {field.shown} is")
    return _moment(reader, token, text) if field.reads == "time" else text


def _moment(reader: _Reader, token: _Token, text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise reader.unexpected(token, "a time, such as '2026-11-30T12:00:00Z'") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _milliseconds(reader: _Reader, token: _Token) -> str:
    try:
        return datetime.fromtimestamp(float(token.text) / 1_000, UTC).isoformat()
    except (OverflowError, ValueError, OSError) as error:
        raise reader.unexpected(token, "milliseconds since 1970") from error
