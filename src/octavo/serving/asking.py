"""The one handler behind all doors: a body is read, answered by a lineup, and recorded; doors differ in form only."""

from collections.abc import Awaitable, Callable

from octavo.errors import InvalidRequest
from octavo.serving.attempts import Answered, AnyAnswered, Call
from octavo.serving.composed import AnsweredByNodes, AnyLineup, Composed
from octavo.serving.composites import CompositePredictor
from octavo.serving.explaining import explained, few, wanted_reasons
from octavo.serving.finding import Finder
from octavo.serving.limits import read_body
from octavo.serving.predict import Predictor
from octavo.serving.reading import Read, read_rows
from octavo.serving.routes import Request
from octavo.serving.tracing import trace_id_of
from octavo.serving.watcher import Watcher


class Asking:
    """Has a predictor answer HTTP requests.

    Parameters
    ----------
    watcher : Watcher
        Holds the lineups.
    predictor : Predictor
    composites : CompositePredictor
    max_body_bytes : int
    kept : callable or None
        Waits until what was recorded is on disk; None if nobody waits for that.

    Attributes
    ----------
    finder : Finder
        Finds what answers, by any name.
    max_body_bytes : int
    is_draining : bool
        Whether the predictor is about to stop.
    """

    def __init__(
        self,
        watcher: Watcher,
        predictor: Predictor,
        composites: CompositePredictor,
        *,
        max_body_bytes: int,
        kept: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.watcher = watcher
        self.finder = Finder(watcher)
        self._predictor = predictor
        self._composites = composites
        self.max_body_bytes = max_body_bytes
        self._kept = kept
        self.is_draining = False

    @property
    def is_ready(self) -> bool:
        """Whether it is the right one to ask: it has looked for manifests, and is not about to stop."""
        return self.watcher.has_looked and not self.is_draining

    async def answered(
        self, request: Request, lineup: AnyLineup, *, read: Read = read_rows
    ) -> AnyAnswered | AnsweredByNodes:
        """Read a request's body, and answer it once it is recorded; a large one lets others pass between its parts."""
        most = wanted_reasons(request.query) if request.query else None
        if most is not None and isinstance(lineup, Composed):
            raise InvalidRequest(
                "reasons are told of a model's predictions, not of a composite's",
                field="explain",
                fix="leave explain out, and ask for the reasons of a node's prediction by its id",
            )
        call = await self._call(request, read=read if most is None else few(read))
        answered = await self.answer(lineup, call)
        if most is None:
            return answered
        answer = answered.answer
        reasons = await explained(answer, most=most)
        return Answered(answer, answered.with_values, answered.follow_up, reasons=reasons)

    async def answer(self, lineup: AnyLineup, call: Call) -> AnyAnswered | AnsweredByNodes:
        """Answer a call whose body has been read already, once it is recorded."""
        answered: AnyAnswered | AnsweredByNodes
        if isinstance(lineup, Composed):
            answered = await self._composites.answer(lineup, call)
        else:
            answered = await self._predictor.answer(lineup, call)
        if self._kept is not None:
            await self._kept()
        return answered

    async def _call(self, request: Request, *, read: Read) -> Call:
        body = await read_body(request.receive, request.headers, max_bytes=self.max_body_bytes, visit=request.visit)
        return Call(
            body=body,
            caller=request.caller,
            arrived_ns=request.arrived_ns,
            trace=_trace_id(request),
            steps=request.trace,
            with_values=request.query != b"" and b"values=1" in request.query.split(b"&"),
            read=read,
        )


def _trace_id(request: Request) -> str:
    if request.trace is not None:
        return request.trace.trace_id
    return trace_id_of(request.headers.get(b"traceparent"))
