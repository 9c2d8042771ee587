"""The short way from a call to its answer, for what callers send again and again; see `octavo.serving.shortcut`.

A call that came whole, whose head and form are known, and whose row one version answers by itself, needs no task, no
parser and no deadline: it waits for its turn with the others, whatever door they came through, and its answer is
written. Whatever is unusual about it sends it the long way, where it is answered as if this were not here.
"""

import time
from functools import partial

import msgspec

from octavo.serving.app import PredictorApp
from octavo.serving.asked import AskedMatrix, AskedRows
from octavo.serving.attempts import AnsweredTogether, Call
from octavo.serving.callers import LimitedCaller
from octavo.serving.grpc.answers import encode_row
from octavo.serving.grpc.deadlines import timeout_s
from octavo.serving.grpc.forms import Form, Forms
from octavo.serving.grpc.framing import PREFIX_BYTES, is_message
from octavo.serving.grpc.incoming import is_grpc
from octavo.serving.grpc.messages import SERVICE
from octavo.serving.grpc.methods import PREDICTS
from octavo.serving.grpc.streams import Fields, Stream
from octavo.serving.routes import Headers
from octavo.serving.turns import Turns, Waiting

_INFER = f"/{SERVICE}/ModelInfer".encode("ascii")
_OF_ONE_CALL = (b"traceparent", b"x-request-id")
_SOON_S = 0.1
"""Who waits less is answered by a way that ends with their patience."""
_REMEMBERED = 2_048
_BELIEVED_NS = 100_000_000
"""How long a head is believed: who was let in may not be any more."""


class _Head(msgspec.Struct, frozen=True):
    """What is known of the head of calls, on the clock of `time.perf_counter_ns`."""

    caller: str
    until_ns: int


class GrpcShortcut:
    """Takes the calls that it can have answered. Used from the event loop only.

    Parameters
    ----------
    app : PredictorApp
        Knows the callers, and what answers.
    forms : Forms
        Of calls that have gone the long way.
    turns : Turns
        Where calls wait.
    max_bytes : int
        Of a message.
    """

    def __init__(self, app: PredictorApp, forms: Forms, *, turns: Turns, max_bytes: int) -> None:
        self._app, self._forms, self._turns, self._max_bytes = app, forms, turns, max_bytes
        self._heads: dict[Fields, _Head] = {}

    def take(self, stream: Stream) -> bool:
        """Take a call that has come whole, if this can have it answered.

        It is told the answer, or sent the long way, in a later turn of the loop.
        """
        app = self._app
        if app.asking.is_draining or app.tracing.samples or not is_message(stream.body, max_bytes=self._max_bytes):
            return False
        try:
            return self._add(stream, stream.body[PREFIX_BYTES:])
        except Exception:  # of whatever kind: it is told on the long way
            return False

    def _add(self, stream: Stream, message: bytes) -> bool:
        """Have a call wait for its turn, if this can have it answered."""
        finder, found = self._app.asking.finder, self._forms.find(message)
        head = None if found is None else self._head(stream.fields, now_ns=stream.arrived_ns)
        if found is None or head is None:
            return False
        form, values = found
        lineup = self._app.asking.watcher.lineups.get(form.model)
        if lineup is None or lineup.sole is None or form.version:
            return False
        if isinstance(head.caller, LimitedCaller):
            head.caller.check(finder.about(form.model))
        id_ = values.pop(0) if form.has_id else ""
        asked = form.asked(lineup, values)
        if not isinstance(asked, AskedRows | AskedMatrix):
            return False
        self._app.admission.enter_briefly(stream.arrived_ns)
        call = Call(body=message, caller=str(head.caller), arrived_ns=stream.arrived_ns)
        self._turns.add(lineup, Waiting(call, asked, partial(self._settle, stream, form, id_)))
        return True

    def _settle(self, stream: Stream, form: Form, id: str, answered: AnsweredTogether | None) -> None:
        self._app.admission.leave_briefly()
        if answered is None:
            stream.go_on()
            return
        stream.reply(encode_row(answered.together, answered.first, form.wanted, id=id, raw=form.raw))
        self._app.metrics.request(200, duration_s=(time.perf_counter_ns() - stream.arrived_ns) / 1e9)

    def _head(self, fields: Fields, *, now_ns: int) -> _Head | None:
        """What is known of a head; None if it says more than who asks for a prediction."""
        head = self._heads.get(fields)
        if head is not None and now_ns < head.until_ns:
            return head
        headers = dict(fields)
        if len(headers) < len(fields) or not _is_plain(headers):
            return None
        head = _Head(self._app.authorize(headers, PREDICTS), now_ns + _BELIEVED_NS)
        if len(self._heads) >= _REMEMBERED:
            self._heads.clear()
        self._heads[fields] = head
        return head


def _is_plain(headers: Headers) -> bool:
    limit = headers.get(b"grpc-timeout")
    return (
        headers.get(b":path") == _INFER
        and is_grpc(headers)
        and not any(name in headers for name in _OF_ONE_CALL)
        and (limit is None or timeout_s(limit) >= _SOON_S)
    )
