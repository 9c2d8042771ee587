"""A large job in pieces: the rows of its body some at a time, and their answers put together again."""

import asyncio
import re
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.errors import InvalidRequest, LimitExceeded, OctavoError
from octavo.serving import arrow
from octavo.serving.answers import Predictions, Share
from octavo.serving.asked import Asked, AskedRows
from octavo.serving.ids import Ids
from octavo.serving.lineup import Lineup
from octavo.serving.routes import Headers

PIECE_ROWS = 500
_PIECE_BYTES = 250_000
_HEAD = re.compile(rb'\s*\{\s*"rows"\s*:\s*(?=\[)')
_TAIL = re.compile(rb"\s*\}\s*\Z")
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_PLACE = re.compile(r"\Arows\[(\d+)\]")


async def read_pieces(lineup: Lineup, body: bytes, headers: Headers, *, max_rows: int) -> list[Asked]:
    """What a body asks for, piece by piece; others are answered while it is read.

    Raises
    ------
    InvalidRequest
        If the body is not what the deployment takes.
    LimitExceeded
        If there are more than `max_rows` rows.
    """
    wide = lineup.up_to(max_rows)
    if arrow.is_sent(headers):
        await arrow.load()
        asked = await asyncio.to_thread(arrow.read_arrow, wide, body)
        return [asked.part(first, first + PIECE_ROWS) for first in range(0, asked.n_rows, PIECE_ROWS)]
    rows = _split(body)
    if rows is None:
        return [AskedRows(wide.decoder.decode(body))]  # it is wrong, or written in an unusual way
    if len(rows) > max_rows:
        raise LimitExceeded(
            f"rows holds more than {max_rows:,} rows",
            field="rows",
            fix=f"send at most {max_rows:,} rows in one request",
        )
    pieces: list[Asked] = []
    first = 0
    while first < len(rows):
        last = _end(rows, first)
        try:
            pieces.append(AskedRows(wide.decoder.decode(b'{"rows":[%s]}' % b",".join(rows[first:last]))))
        except OctavoError as error:
            raise moved(error, first) from error
        await asyncio.sleep(0)
        first = last
    return pieces


def moved(error: OctavoError, by: int) -> OctavoError:
    """An error of a piece, with the row's place in the whole."""
    error.message = _moved(error.message, by)
    if isinstance(error, InvalidRequest) and error.field is not None:
        error.field = _moved(error.field, by)
    return error


def together(answers: Sequence[Predictions]) -> Predictions:
    """The answers to pieces, as one."""
    if len(answers) == 1:
        return answers[0]
    first, shares, start = answers[0], list[Share](), 0
    for answer in answers:
        shares += [share._replace(rows=_shifted(share.rows, start, n_rows=len(answer))) for share in answer.shares]
        start += len(answer)
    return Predictions(
        first.deployment,
        first.model,
        ids=Ids(b"".join(answer.ids.data for answer in answers)),
        values=np.concatenate([answer.values for answer in answers]),
        shares=shares,
        degraded=any(answer.degraded for answer in answers),
    )


def _split(body: bytes) -> list[msgspec.Raw] | None:
    """The rows of ``{"rows": [...]}`` as they are written; None if it is anything else."""
    head, tail = _HEAD.match(body), _TAIL.search(body, max(0, len(body) - 64))
    if head is None or tail is None:
        return None
    try:
        return _ROWS.decode(memoryview(body)[head.end() : tail.start()]) or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _end(rows: Sequence[msgspec.Raw], first: int) -> int:
    """Where the piece ends that begins at a row."""
    size, last = 0, first
    while last < min(len(rows), first + PIECE_ROWS) and (last == first or size < _PIECE_BYTES):
        size += len(memoryview(rows[last]))
        last += 1
    return last


def _moved(text: str, by: int) -> str:
    return _PLACE.sub(lambda found: f"rows[{int(found[1]) + by}]", text)


def _shifted(rows: slice | npt.NDArray[np.intp], by: int, *, n_rows: int) -> slice | npt.NDArray[np.intp]:
    if isinstance(rows, slice):
        first, last, _ = rows.indices(n_rows)
        return slice(by + first, by + last)
    return rows + by
