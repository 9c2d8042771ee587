"""Reasons for the predictions of an answer, told beside them."""

import asyncio
from functools import partial
from urllib.parse import parse_qs

import msgspec
import numpy as np

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.answers import Predictions, places_of
from octavo.serving.asked import Asked
from octavo.serving.models import LoadedModel
from octavo.serving.reading import Addressee, Read
from octavo.serving.reasons import Reasons, Rows, reasons_of
from octavo.serving.unread import FALLBACK

MOST_ROWS = 16
"""Rows of one request that can be explained."""


def wanted_reasons(query: bytes) -> int | None:
    """How many reasons a query asks for, the largest first: ``explain=true`` all of them, ``explain=5`` five.

    Raises
    ------
    InvalidRequest
        If it asks for something else.
    """
    if b"explain" not in query:
        return None
    [*_, given] = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("explain", ["false"])
    if given.lower() in ("false", "0"):
        return None
    if given.lower() == "true":
        return -1
    if not (given.isascii() and given.isdigit() and len(given) <= 4):
        raise InvalidRequest(
            f"explain={given[:40]!r} is no number of reasons", field="explain", fix="send explain=true, or explain=5"
        )
    return int(given)


def few(read: Read) -> Read:
    """Reads as another, but no more rows than can be explained."""

    def checked(lineup: Addressee, body: bytes) -> Asked:
        asked = read(lineup, body)
        if asked.n_rows > MOST_ROWS:
            raise LimitExceeded(
                f"the request asks for reasons for {asked.n_rows:,} rows",
                field="rows",
                fix=f"send at most {MOST_ROWS} rows with explain, or leave it out",
            )
        return asked

    return checked


async def explained(answer: Predictions, *, most: int) -> list[str]:
    """Of each row the end of its JSON object: ``base`` and ``reasons``; others are answered between the rows.

    Where a function comes after the model, they are about what the model said before it, which is told as ``before``.

    A constant that answers in the place of a model has none.

    Parameters
    ----------
    most : int
        How many reasons, those with the largest contributions; all if negative.
    """
    found = [""] * len(answer)
    for share in answer.shares:
        if share.arm == FALLBACK:
            continue
        inputs = share.model.plan.inputs
        for number, place in enumerate(places_of(share, len(answer))):
            await asyncio.sleep(0)
            row = share.inputs[number]
            reasons = await _reasons(share.model, row, prediction=answer.ids[place])
            order = np.argsort(-np.abs(reasons.contributions), kind="stable")[: None if most < 0 else most]
            told = [
                {"input": inputs[at], "contribution": reasons.contributions[at].item(), "value": row[at].item()}
                for at in order.tolist()
            ]
            before = f',"before":{reasons.answer!r}' if share.model.after is not None else ""
            found[place] = f',"base":{reasons.base!r}{before},"reasons":{msgspec.json.encode(told).decode()}'
    return found


async def _reasons(model: LoadedModel, row: Rows, *, prediction: str) -> Reasons:
    """The reasons for one answer; of a model with a process of its own, they are waited for where its answers are."""
    ask = partial(reasons_of, model.run, row, reference=model.reference, prediction=prediction)
    return ask() if model.thread is None else await asyncio.get_running_loop().run_in_executor(model.thread, ask)
