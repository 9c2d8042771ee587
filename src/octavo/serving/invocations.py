"""The scoring interface of MLflow's model server: what asks that one can ask a predictor, unchanged."""

import csv
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from io import StringIO
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from octavo.definitions.types import DType
from octavo.errors import Conflict, InvalidRequest, Unavailable
from octavo.serving.answers import Predictions
from octavo.serving.asked import Asked
from octavo.serving.asking import Asking
from octavo.serving.composed import AnyLineup
from octavo.serving.documents import DocumentDecoder, Scalar
from octavo.serving.lineup import Lineup
from octavo.serving.problems import Answer
from octavo.serving.reading import Addressee, asked_by_columns, asked_by_matrix, asked_by_records, check_count
from octavo.serving.routes import JSON, PUBLIC, Handled, Request, Route, check_encoding, content_type

INVOCATIONS = "/invocations"
_CSV = b"text/csv"
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}

_Rows = list[dict[str, Scalar] | list[float | None]]


class _Split(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[Scalar]]
    index: list[Scalar] | UnsetType = UNSET


class _Invocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dataframe_split: _Split | UnsetType = UNSET
    dataframe_records: list[dict[str, Scalar]] | UnsetType = UNSET
    inputs: dict[str, list[Scalar]] | _Rows | UnsetType = UNSET
    instances: dict[str, list[Scalar]] | _Rows | UnsetType = UNSET
    params: dict[str, Scalar] | UnsetType = UNSET


_WANTED = 'one of {"dataframe_split": {...}}, {"dataframe_records": [...]}, {"inputs": ...} and {"instances": [...]}'
_decoder = DocumentDecoder(_Invocation, wanted=_WANTED)


class ScoringAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The predicted values in the order of the rows, and the ids by which outcomes are told."""

    predictions: list[float]
    ids: list[str]
    degraded: bool = False


class ScoringRoutes:
    """``POST /invocations`` and ``GET /ping``.

    Parameters
    ----------
    asking : Asking
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        return (
            Route(method="POST", path=INVOCATIONS, permission="predictions:write", handle=self._invoke_only),
            Route(method="GET", path="/ping", permission=PUBLIC, handle=self._ping),
        )

    async def invoke(self, request: Request, lineup: AnyLineup) -> Handled:
        """Answer for one deployment, or a composite."""
        check_encoding(
            request.headers,
            kinds=(JSON, _CSV),
            fix="send JSON with Content-Type: application/json, or lines with Content-Type: text/csv",
        )
        read = _read_csv if content_type(request.headers) == _CSV else _read_json
        answered = await self._asking.answered(request, lineup, read=read)
        return Answer(status=200, body=msgspec.json.encode(_answer(answered.answer))), answered.follow_up

    async def _invoke_only(self, request: Request) -> Handled:
        return await self.invoke(request, self._only())

    def _only(self) -> Lineup:
        lineups = self._asking.watcher.lineups
        if not lineups:
            raise Unavailable("this predictor serves no deployment yet; release a version")
        if len(lineups) > 1:
            raise Conflict(
                f"this predictor serves {', '.join(sorted(lineups))}; "
                "name the one that you ask: POST /predict/{deployment}/invocations"
            )
        return next(iter(lineups.values()))

    async def _ping(self, request: Request) -> Handled:
        ready = bool(self._asking.watcher.lineups) and not self._asking.is_draining
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status=status, body=b"\n", content_type=b"text/plain"), None


def _answer(answer: Predictions) -> ScoringAnswer:
    return ScoringAnswer(
        predictions=answer.values.tolist(),
        ids=answer.ids.texts,
        degraded=answer.degraded,
    )


def _read_json(lineup: Addressee, body: bytes) -> Asked:
    document = _decoder.decode(body)
    given = [name for name in document.__struct_fields__ if name != "params" and getattr(document, name) is not UNSET]
    if len(given) != 1:
        raise InvalidRequest(f"the body holds {' and '.join(given) or 'no rows'}", fix=f"send {_WANTED}")
    if document.params is not UNSET and document.params:
        raise InvalidRequest("the model takes no params", field="params", fix="leave them out")
    [name] = given
    value = getattr(document, name)
    if isinstance(value, _Split):
        return _of_split(lineup, value)
    if isinstance(value, dict):
        return _of_columns(lineup, value, field=name)
    return _of_rows(lineup, value, field=name)


def _of_split(lineup: Addressee, split: _Split) -> Asked:
    check_count(lineup, len(split.data))
    _check_columns(split.columns, field="dataframe_split.columns")
    for number, row in enumerate(split.data):
        _check_width(row, split.columns, field=f"dataframe_split.data[{number}]")
    return asked_by_records(lineup, [dict(zip(split.columns, row, strict=True)) for row in split.data])


def _of_columns(lineup: Addressee, columns: dict[str, list[Scalar]], *, field: str) -> Asked:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise InvalidRequest(
            f"the columns of {field} differ in length: {', '.join(map(str, sorted(lengths)))}",
            field=field,
            fix="send as many values in each",
        )
    return asked_by_columns(lineup, dict(columns), n_rows=next(iter(lengths), 0))


def _of_rows(lineup: Addressee, rows: Sequence[Any], *, field: str) -> Asked:
    check_count(lineup, len(rows))
    if len({type(row) for row in rows}) > 1:
        raise InvalidRequest(f"{field} mixes objects and lists", field=field, fix="send one kind only")
    if isinstance(rows[0], dict):
        return asked_by_records(lineup, rows)
    if len({len(row) for row in rows}) > 1:
        raise InvalidRequest(f"the rows of {field} differ in length", field=field, fix="send as many numbers in each")
    return asked_by_matrix(lineup, np.array(rows, np.float64), field=field)


def _read_csv(lineup: Addressee, body: bytes) -> Asked:
    """Lines below a line of field names; an empty cell is null, an empty line nothing."""
    try:
        lines = csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        columns = next(lines, [])
        _check_columns(columns, field="line 1")
        records = [_record(lineup, columns, line, number=lines.line_num) for line in _some(lines, lineup.max_rows + 1)]
    except UnicodeDecodeError as error:
        raise InvalidRequest("the body is not UTF-8", fix="encode the CSV as UTF-8") from error
    except csv.Error as error:
        raise InvalidRequest(f"the body is not CSV: {error}", fix="send lines of cells between commas") from error
    check_count(lineup, len(records))
    return asked_by_records(lineup, records)


def _some(lines: Iterator[list[str]], at_most: int) -> Iterator[list[str]]:
    return islice(filter(None, lines), at_most)


def _record(lineup: Addressee, columns: Sequence[str], line: Sequence[str], *, number: int) -> dict[str, Scalar]:
    _check_width(line, columns, field=f"line {number}")
    dtypes = lineup.decoder.dtypes
    return {name: _cell(text, dtypes.get(name)) for name, text in zip(columns, line, strict=True)}


def _cell(text: str, dtype: DType | None) -> Scalar:
    """A cell as JSON would have it; text that is no value of the field's type stays text, to be refused as such."""
    if not text:
        return None
    if dtype is DType.BOOL:
        return _BOOLEANS.get(text, text)
    if dtype in (DType.INT64, DType.FLOAT64):
        try:
            number: int | float = msgspec.json.decode(text.strip(), type=int | float)
        except msgspec.MsgspecError:
            return text
        return number
    return text


def _check_columns(columns: Sequence[str], *, field: str) -> None:
    if not columns:
        raise InvalidRequest(f"{field} names no columns", field=field, fix="name the fields that the rows hold")
    seen: set[str] = set()
    for name in columns:
        if name in seen:
            raise InvalidRequest(f"{field} names {name[:80]!r} twice", field=field, fix=f"send {name[:80]!r} once")
        seen.add(name)


def _check_width(row: Sequence[object], columns: Sequence[str], *, field: str) -> None:
    if len(row) != len(columns):
        raise InvalidRequest(
            f"{field} holds {len(row)} values, for {len(columns)} columns", field=field, fix="send one for each column"
        )
