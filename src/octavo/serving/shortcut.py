"""The short way from a request to its answer, for what callers send again and again.

A request that was read whole, whose head is known by its bytes, and whose few rows one version answers by itself, needs
no parser, no scope, no task, and none of the choices that an application makes: it waits for its turn with the others,
and its answer is written. Whatever is unusual about it, before that or after, sends it the long way, where it is
answered as if this were not here.
"""

import time
from collections.abc import Callable
from functools import partial
from operator import attrgetter

from octavo.serving import arrow
from octavo.serving.asked import Asked, AskedMatrix, AskedRows
from octavo.serving.asking import Asking
from octavo.serving.attempts import AnsweredTogether, Call
from octavo.serving.connections import Connection
from octavo.serving.heads import Form, Heads
from octavo.serving.inference import Inference
from octavo.serving.limits import Admission
from octavo.serving.lineup import Lineup
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.openinference import HEADER_LENGTH, MODELS
from octavo.serving.reading import read_rows
from octavo.serving.routes import JSON, PREDICT, Headers, content_type
from octavo.serving.tracing import Tracing
from octavo.serving.turns import FEW, Turns, Waiting

_END = b"\r\n\r\n"
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
        turns: Turns,
        admission: Admission,
        tracing: Tracing,
        metrics: PredictorMetrics,
    ) -> None:
        self._heads, self._asking, self.turns = heads, asking, turns
        self._admission, self._tracing, self._metrics = admission, tracing, metrics
        self._most_bytes = min(_LONGEST, asking.max_body_bytes)

    def take(self, sent: bytes, connection: Connection) -> bool:
        """Take what a connection has just read, if it is a request that this can have answered.

        The connection is told the answer, or given back its request, in a later turn of the loop.
        """
        now_ns = time.perf_counter_ns()
        end = sent.find(_END) + len(_END)
        try:
            known = self._heads.known(sent[:end], now_ns=now_ns)
            if known is None or len(sent) - end != known.n_body or known.n_body > self._most_bytes:
                return False
            head, lineup = known.head, self._asking.watcher.lineups.get(known.head.deployment)
            if lineup is None or lineup.sole is None or head.form is None or self._is_unusual:
                return False
            call = Call(body=sent[end:], caller=head.caller, arrived_ns=now_ns)
            asked, write = head.form(lineup, call.body) or (None, None)
            if not isinstance(asked, AskedRows | AskedMatrix) or write is None or asked.n_rows > FEW:
                return False
            self._admission.enter_briefly(now_ns)
        except Exception:  # of whatever kind: it is told on the long way
            return False
        self.turns.add(lineup, Waiting(call, asked, partial(self._settle, connection, sent, now_ns, write)))
        return True

    @property
    def _is_unusual(self) -> bool:
        """Whether all requests go the long way now."""
        return self._asking.is_draining or self._tracing.samples

    def _settle(
        self, connection: Connection, sent: bytes, arrived_ns: int, write: _Write, answered: AnsweredTogether | None
    ) -> None:
        self._admission.leave_briefly()
        if answered is None:
            connection.go_on(sent)
            return
        connection.answer(write(answered))
        self._metrics.request(200, duration_s=(time.perf_counter_ns() - arrived_ns) / 1e9)
