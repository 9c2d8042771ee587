"""The short way from a request to its answer, for what callers send again and again.

A request that was read whole, whose head is known by its bytes, and whose few rows one version answers by itself, needs
no parser, no scope, no task, and none of the choices that an application makes: it waits for its turn with the others,
and its answer is written. Whatever is unusual about it, before that or after, sends it the long way, where it is
answered as if this were not here.
"""

import time
from functools import partial

from octavo.serving.asking import Asking
from octavo.serving.attempts import AnsweredTogether, Call
from octavo.serving.connections import Connection
from octavo.serving.heads import Heads
from octavo.serving.limits import Admission
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.reading import read_rows
from octavo.serving.tracing import Tracing
from octavo.serving.turns import FEW, Turns, Waiting

_END = b"\r\n\r\n"
_LONGEST = 16_384


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

    def take(self, sent: bytes, connection: Connection) -> bool:
        """Take what a connection has just read, if it is a request that this can have answered.

        The connection is told the answer, or given back its request, in a later turn of the loop.
        """
        now_ns = time.perf_counter_ns()
        end = sent.find(_END) + len(_END)
        try:
            known = self._heads.known(sent[:end], now_ns=now_ns)
            if known is None or len(sent) - end != known.n_body or len(sent) > _LONGEST:
                return False
            lineup = self._asking.watcher.lineups.get(known.head.deployment)
            if lineup is None or lineup.sole is None or self._asking.is_draining or self._tracing.samples:
                return False
            call = Call(body=sent[end:], caller=known.head.caller, arrived_ns=now_ns)
            asked = read_rows(lineup, call.body)
            if asked.n_rows > FEW:
                return False
            self._admission.enter_briefly(now_ns)
        except Exception:  # of whatever kind: it is told on the long way
            return False
        self.turns.add(lineup, Waiting(call, asked, partial(self._settle, connection, sent, now_ns)))
        return True

    def _settle(self, connection: Connection, sent: bytes, arrived_ns: int, answered: AnsweredTogether | None) -> None:
        self._admission.leave_briefly()
        if answered is None:
            connection.go_on(sent)
            return
        connection.answer(answered.body)
        self._metrics.request(200, duration_s=(time.perf_counter_ns() - arrived_ns) / 1e9)
