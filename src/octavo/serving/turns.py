"""Requests of few rows that wait at the same time are answered as one: run and recorded together.

Under load several requests are always at hand, and each would pay alone for what costs the same for thirty rows as for
one: the model's run, the record, and that all of this is no longer in the processor's caches when its turn comes again.
Nobody waits for others: what has come by the end of a turn of the event loop is answered in the next one.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

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

T = TypeVar("T")


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
        gathered = self._gathered.pop((lineup, is_of_rows))
        if sum([one.asked.n_rows for one in gathered]) <= _MOST:
            self._see_to(lineup, gathered)
            return
        for start in range(0, len(gathered), _MOST // FEW):
            self._see_to(lineup, gathered[start : start + _MOST // FEW])

    def _see_to(self, lineup: Lineup, gathered: Sequence[Waiting]) -> None:
        sole, answering = lineup.sole, self._tell(lineup, gathered)
        if sole is None or gathered[0].asked.matrix is not None or not sole.served.builder.waits:
            at_once(answering)
            return
        task = asyncio.get_running_loop().create_task(answering)
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


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits: without a task, and without another turn of the loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise AssertionError("it waits for something")
