"""The short way from a request to its answer, for what callers send again and again.

A request whose head is known by its bytes needs no parser: the application answers it as soon as its body is there. If
one version answers its few rows by itself, it needs no task either, and none of the choices that an application makes:
it waits for its turn with the others, and its answer is written. Where something is unusual, before that or after, the
application answers it as if this were not here.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from operator import attrgetter
from typing import Any

from octavo.errors import OctavoError
from octavo.serving import arrow
from octavo.serving.asked import Asked, AskedMatrix, AskedRows
from octavo.serving.asking import Asking
from octavo.serving.attempts import AnsweredTogether, Call
from octavo.serving.connections import Connection
from octavo.serving.heads import ARRIVED, SENT, Form, Head, Heads, Known, Scope
from octavo.serving.inference import Inference
from octavo.serving.limits import Admission, Receive
from octavo.serving.lineup import Lineup
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.openinference import HEADER_LENGTH, MODELS
from octavo.serving.reading import read_rows
from octavo.serving.routes import JSON, PREDICT, Headers, Told, content_type
from octavo.serving.tracing import Tracing
from octavo.serving.turns import FEW, Turns, Waiting

_LONGEST = 16_384
_INFER = "/infer"
_Write = Callable[[AnsweredTogether], bytes]
_as_rows: _Write = attrgetter("body")


def asked_plainly(path: str, query: bytes, headers: Headers) -> tuple[str, Form | None]:
    """The deployment that a request asks for a plain prediction by JSON, and its form; none if it is about more."""
    if query or content_type(headers) != JSON or b"content-encoding" in headers or arrow.is_wanted(headers):
        return "", None
    if path.startswith(PREDICT):
        return path.removeprefix(PREDICT), by_rows
    if path.startswith(MODELS) and path.endswith(_INFER) and HEADER_LENGTH not in headers:
        return path[len(MODELS) : -len(_INFER)], by_tensors
    return "", None


def by_rows(lineup: Lineup, body: bytes) -> tuple[Asked, _Write]:
    """The rows of ``POST /predict/{deployment}``; see `octavo.serving.heads.Form`."""
    return read_rows(lineup, body), _as_rows


def by_tensors(lineup: Lineup, body: bytes) -> tuple[Asked, _Write] | None:
    """The tensors of ``POST /v2/models/{deployment}/infer``; None if some are to be answered in bytes."""
    inference = Inference(header_bytes=None)
    asked = inference.read(lineup, body)
    return (asked, inference.written) if inference.is_json else None


class Shortcut:
    """Takes the requests that it can have answered. Used from the event loop only.

    Parameters
    ----------
    heads : Heads
        Remembers the heads of those that have gone the long way.
    asking : Asking
        Knows what answers.
    answer : callable
        What a request is told that is answered by itself, by its scope and what receives its body.
    turns : Turns
        Where requests wait.
    admission : Admission
    tracing : Tracing
        Nothing is taken while it samples.
    metrics : PredictorMetrics
    """

    def __init__(
        self,
        heads: Heads,
        asking: Asking,
        *,
        answer: Callable[[Scope, Receive], Coroutine[Any, Any, Told | None]],
        turns: Turns,
        admission: Admission,
        tracing: Tracing,
        metrics: PredictorMetrics,
    ) -> None:
        self._heads, self._asking, self._answer, self.turns = heads, asking, answer, turns
        self._admission, self._tracing, self._metrics = admission, tracing, metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def known(self, head: bytes, *, now_ns: int) -> Known | None:
        """What is known of a request by its head; None if it is to go the long way."""
        try:
            known = self._heads.known(head, now_ns=now_ns)
        except OctavoError:  # it is told on the long way
            return None
        if known is None or known.n_body > self._asking.max_body_bytes or self._is_unusual:
            return None
        return known

    def take(self, known: Known, head: bytes, body: bytes, connection: Connection, *, arrived_ns: int) -> None:
        """Have a request answered that is known and there.

        The connection is told the answer, or given back the request, in a later turn of the loop.
        """
        if known.n_body > _LONGEST or not self.gather(known.head, head, body, connection, arrived_ns):
            scope = {**known.scope, "type": "http", ARRIVED: arrived_ns, SENT: head}
            task = asyncio.get_running_loop().create_task(self._tell(connection, scope, body))
            self._tasks.add(task)  # the loop itself does not keep it
            task.add_done_callback(self._tasks.discard)

    def gather(self, known: Head, head: bytes, body: bytes, connection: Connection, arrived_ns: int) -> bool:
        """Have a request answered in the next turn, together with others; whether it may be."""
        lineup = self._asking.watcher.lineups.get(known.deployment)
        if lineup is None or lineup.sole is None or known.form is None:
            return False
        call = Call(body=body, caller=known.caller, arrived_ns=arrived_ns)
        try:
            asked, write = known.form(lineup, body) or (None, None)
            if not isinstance(asked, AskedRows | AskedMatrix) or write is None or asked.n_rows > FEW:
                return False
            self._admission.enter_briefly(arrived_ns)
        except Exception:  # of whatever kind: it is told by itself
            return False
        self.turns.add(lineup, Waiting(call, asked, partial(self._settle, connection, head, call, write)))
        return True

    @property
    def _is_unusual(self) -> bool:
        """Whether all requests go the long way now."""
        return self._asking.is_draining or self._tracing.samples

    def _settle(
        self, connection: Connection, head: bytes, call: Call, write: _Write, answered: AnsweredTogether | None
    ) -> None:
        self._admission.leave_briefly()
        if answered is None:
            connection.go_on(head + call.body)
            return
        connection.answer(write(answered))
        self._metrics.request(200, duration_s=(time.perf_counter_ns() - call.arrived_ns) / 1e9)

    async def _tell(self, connection: Connection, scope: Scope, body: bytes) -> None:
        """Answer a request of which no more is spared than the reading of its head."""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        told = await self._answer(scope, receive)
        assert told is not None, "its caller has sent all of it"
        connection.tell(told.status, told.headers, told.body)
        told.done()
