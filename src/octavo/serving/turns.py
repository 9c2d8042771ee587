"""Requests of few rows that wait at the same time are answered as one: run and recorded together.

Under load several requests are always at hand, and each would pay alone for what costs the same for thirty rows as for
one: the model's run, the record, and that all of this is no longer in the processor's caches when its turn comes again.
Nobody waits for others: what has come by the end of a turn of the event loop is answered in the next one.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Sequence
from types import coroutine
from typing import Any

import msgspec

from octavo.serving.answers import Together
from octavo.serving.asked import AskedMatrix, AskedRows
from octavo.serving.attempts import AnsweredTogether, Call
from octavo.serving.lineup import Lineup

log = logging.getLogger(__name__)

FEW = 8
"""Rows of a request that is answered together with others."""
_MOST = 64
"""Rows that are answered together."""


class Waiting(msgspec.Struct, frozen=True):
    """A request that is to be answered in this turn.

    Attributes
    ----------
    tell : callable
        Is told its answer; None if it is to be answered by itself, and nothing has been recorded of it.
    """

    call: Call
    asked: AskedRows | AskedMatrix
    tell: Callable[[AnsweredTogether | None], object]


class Turns:
    """Gathers requests. Used from the event loop only.

    Parameters
    ----------
    answer : callable
        Answers requests of one lineup; None if each is to be answered by itself.
    """

    def __init__(self, answer: Callable[[Lineup, Sequence[Waiting]], Coroutine[Any, Any, Together | None]]) -> None:
        self._answer = answer
        self._gathered: dict[tuple[Lineup, bool], list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, lineup: Lineup, waiting: Waiting) -> None:
        """Have a request answered, with those that wait now."""
        alike = lineup, waiting.asked.matrix is None
        gathered = self._gathered.get(alike)
        if gathered is None:
            gathered = self._gathered[alike] = []
            asyncio.get_running_loop().call_soon(self._turn, *alike)
        gathered.append(waiting)

    def _turn(self, lineup: Lineup, is_of_rows: bool) -> None:
        together, n_rows = list[Waiting](), 0
        for one in self._gathered.pop((lineup, is_of_rows)):
            n_rows += one.asked.n_rows
            if n_rows > _MOST:
                self._see_to(lineup, together)
                together, n_rows = [], one.asked.n_rows
            together.append(one)
        self._see_to(lineup, together)

    def _see_to(self, lineup: Lineup, gathered: Sequence[Waiting]) -> None:
        rest = begun(self._tell(lineup, gathered))
        if rest is not None:
            task = asyncio.get_running_loop().create_task(rest)
            self._tasks.add(task)  # the loop itself does not keep it
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, lineup: Lineup, gathered: Sequence[Waiting]) -> None:
        together = None
        try:
            together = await self._answer(lineup, gathered)
        except Exception:  # of whatever kind: those who wait must hear of it, each of his own
            log.exception("requests could not be answered together")
        first = 0
        for one in gathered:
            last = first + one.asked.n_rows
            one.tell(None if together is None else AnsweredTogether(together, first, last, one.call.with_values))
            first = last


def begun(answering: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Begin what may never wait for anything; what is left of it if it does, to be a task, else None."""
    try:
        awaited = answering.send(None)
    except StopIteration:
        return None

    async def rest() -> None:
        await _rest(answering, awaited)

    return rest()


@coroutine
def _rest(answering: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, None, None]:
    """Go on with a coroutine that waits for something."""
    try:
        while True:
            try:
                yield awaited
            except BaseException as error:
                awaited = answering.throw(error)
            else:
                awaited = answering.send(None)
    except StopIteration:
        return
