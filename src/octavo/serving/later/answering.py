"""Jobs, answered: a small one as ``POST /predict`` would, a large one in pieces between which others are answered."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

from octavo.errors import OctavoError
from octavo.serving import arrow
from octavo.serving.answers import Predictions, encode_answer
from octavo.serving.asked import Asked
from octavo.serving.asking import Asking
from octavo.serving.attempts import Call
from octavo.serving.composed import Composed
from octavo.serving.explaining import wanted_reasons
from octavo.serving.later.jobs import Job
from octavo.serving.later.pieces import moved, read_pieces, together
from octavo.serving.predict import Predictor
from octavo.serving.problems import Answer, answer_of
from octavo.serving.reading import Addressee, Read
from octavo.serving.routes import Handle, Request
from octavo.serving.tracing import trace_id_of

log = logging.getLogger(__name__)

LARGE_BYTES = 100_000
"""From here on a body is answered in pieces."""

_GIVE_WAY_S, _STEP_S = 1.0, 0.02

FollowUps = list[Callable[[], None]]


class Cancelled(Exception):
    """Nobody wants the answer any more."""


class Answering:
    """Answers jobs, each as `handle` would.

    Parameters
    ----------
    handle : callable
        Answers ``POST /predict/{deployment}``.
    asking : Asking
    predictor : Predictor
    max_rows : int
        Of one job.
    is_busy : callable
        Whether those who wait for answers are enough to do.
    large_bytes : int
    """

    def __init__(
        self,
        handle: Handle,
        asking: Asking,
        predictor: Predictor,
        *,
        max_rows: int,
        is_busy: Callable[[], bool],
        large_bytes: int = LARGE_BYTES,
    ) -> None:
        self._handle = handle
        self._asking = asking
        self._predictor = predictor
        self._max_rows = max_rows
        self._is_busy = is_busy
        self._large_bytes = large_bytes

    @property
    def is_over(self) -> bool:
        """Whether no further job is to be begun."""
        return self._asking.is_draining

    async def answer(self, job: Job, *, is_wanted: Callable[[], Awaitable[bool]]) -> tuple[Answer, FollowUps]:
        """The answer to a job, and what is left to do once it is kept.

        Raises
        ------
        Cancelled
            If it is no longer wanted; seen between the pieces.
        OctavoError, HttpError
            As ``POST /predict`` is refused.
        """
        question = job.question
        lineup = await self._asking.finder.lineup(job.deployment)
        is_small = len(job.body) < self._large_bytes or wanted_reasons(question.query) is not None
        if is_small or isinstance(lineup, Composed):
            answer, follow_up = await self._handle(_request(job))
            return answer, [] if follow_up is None else [follow_up]
        pieces = await read_pieces(lineup, job.body, question.headers, max_rows=self._max_rows)
        answers, follow_ups = list[Predictions](), FollowUps()
        for call, first in _calls(job, pieces):
            await self.give_way()
            if not await is_wanted():
                raise Cancelled
            try:
                answered = await self._predictor.answer(lineup, call)
            except OctavoError as error:
                raise moved(error, first) from error
            answers.append(answered.answer)
            follow_ups += [] if answered.follow_up is None else [answered.follow_up]
        return await asyncio.to_thread(_encoded, job, answers), follow_ups

    async def give_way(self) -> None:
        """Let those be answered who wait for it; after a second it goes on all the same, or it might never end."""
        await asyncio.sleep(0)
        until_s = time.monotonic() + _GIVE_WAY_S
        while self._is_busy() and time.monotonic() < until_s:
            await asyncio.sleep(_STEP_S)


def refusal(error: Exception, job: Job) -> Answer:
    """The answer to a job that cannot be answered."""
    answer = answer_of(error, request_id=job.id)
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("an asynchronous prediction failed", exc_info=error, extra={"request": job.id})
    return answer


def _request(job: Job) -> Request:
    """A job as ``POST /predict/{deployment}`` would have come."""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": job.body, "more_body": False}

    return Request(
        path=f"/predict/{job.deployment}",
        query=job.question.query,
        headers=job.question.headers,
        receive=receive,
        caller=job.caller,
        arrived_ns=time.perf_counter_ns(),
    )


def _calls(job: Job, pieces: Sequence[Asked]) -> list[tuple[Call, int]]:
    """One call for each piece, with the place of its first row."""
    trace, with_values = trace_id_of(job.question.headers.get(b"traceparent")), _with_values(job)
    calls, first = [], 0
    for piece in pieces:
        call = Call(
            body=b"",
            caller=job.caller,
            arrived_ns=time.perf_counter_ns(),
            trace=trace,
            with_values=with_values,
            read=_given(piece),
        )
        calls.append((call, first))
        first += piece.n_rows
    return calls


def _given(asked: Asked) -> Read:
    def read(lineup: Addressee, body: bytes) -> Asked:
        return asked

    return read


def _with_values(job: Job) -> bool:
    return b"values=1" in job.question.query.split(b"&")


def _encoded(job: Job, answers: Sequence[Predictions]) -> Answer:
    """The answers to all pieces, as one. In a thread: Python's own loops let others go on."""
    answer, with_values = together(answers), _with_values(job)
    if arrow.is_wanted(job.question.headers):
        body = arrow.encode_arrow(answer, with_values=with_values)
        return Answer(status=HTTPStatus.OK, body=body, content_type=arrow.STREAM)
    return Answer(status=HTTPStatus.OK, body=encode_answer(answer, with_values=with_values))
