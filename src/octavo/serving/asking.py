"""The one handler behind all doors: a body is read, answered by a lineup, and recorded; doors differ in form only."""

import asyncio
import re

from octavo.errors import NotFound
from octavo.serving.asked import Read, read_rows
from octavo.serving.limits import read_body
from octavo.serving.lineup import Lineup
from octavo.serving.predict import Answered, Call, Predictor
from octavo.serving.routes import Request
from octavo.serving.watcher import Watcher

_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Asking:
    """Has a predictor answer HTTP requests.

    Parameters
    ----------
    watcher : Watcher
        Holds the lineups.
    predictor : Predictor
    max_body_bytes : int
    """

    def __init__(self, watcher: Watcher, predictor: Predictor, *, max_body_bytes: int) -> None:
        self.watcher = watcher
        self._predictor = predictor
        self._max_body_bytes = max_body_bytes

    def lineup(self, deployment: str) -> Lineup:
        """What a deployment answers with.

        Raises
        ------
        NotFound
        """
        lineup = self.watcher.lineups.get(deployment)
        if lineup is None:
            raise NotFound("deployment with a live version", deployment, self.watcher.lineups)
        return lineup

    async def answered(self, request: Request, lineup: Lineup, *, read: Read = read_rows) -> Answered:
        """Read a request's body, and answer it; a large one lets others pass between its parts."""
        body = await read_body(request.receive, request.headers, max_bytes=self._max_body_bytes)
        call = Call(
            body=body,
            caller=request.caller,
            arrived_ns=request.arrived_ns,
            trace=_trace(request),
            with_values=request.query != b"" and b"values=1" in request.query.split(b"&"),
            read=read,
        )
        steps = self._predictor.steps(lineup, call)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                answered: Answered = stop.value
                return answered
            await asyncio.sleep(0)


def _trace(request: Request) -> str:
    sent = request.headers.get(b"traceparent")
    found = None if sent is None else _TRACE.fullmatch(sent)
    return found[1].decode("ascii") if found else ""
