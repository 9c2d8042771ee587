"""Requests of few rows that wait at the same time are answered as one: run and recorded together.

Under load several requests are always at hand, and each would pay alone for what costs the same for thirty rows as for
one: the model's run, the record, and that all of this is no longer in the processor's caches when its turn comes again.
Nobody waits for others: what has come by the end of a turn of the event loop is answered in the next one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

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
    answer, answer_soon : callable
        Answers requests of one lineup; None if each is to be answered by itself. The second where features are to be
        looked up.
    """

    def __init__(
        self,
        answer: Callable[[Lineup, Sequence[Waiting]], Together | None],
        answer_soon: Callable[[Lineup, Sequence[Waiting]], Awaitable[Together | None]],
    ) -> None:
        self._answer, self._answer_soon = answer, answer_soon
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
        sole = lineup.sole
        if sole is not None and sole.looks_up and gathered[0].asked.matrix is None:
            task = asyncio.get_running_loop().create_task(self._soon(lineup, gathered))
            self._tasks.add(task)  # the loop itself does not keep it
            task.add_done_callback(self._tasks.discard)
            return
        together = None
        try:
            together = self._answer(lineup, gathered)
        except Exception:  # of whatever kind: those who wait must hear of it, each of his own
            log.exception("requests could not be answered together")
        _tell(gathered, together)

    async def _soon(self, lineup: Lineup, gathered: Sequence[Waiting]) -> None:
        together = None
        try:
            together = await self._answer_soon(lineup, gathered)
        except Exception:  # as above
            log.exception("requests could not be answered together")
        _tell(gathered, together)


def _tell(gathered: Sequence[Waiting], together: Together | None) -> None:
    first = 0
    for one in gathered:
        last = first + one.asked.n_rows
        answered = None if together is None else AnsweredTogether(together, first, last, one.call.with_values)
        one.tell(answered)
        first = last
