"""What the worker does for the record, beside the loop: checkpoints of the audit trail, refusals of predictors,
release statements and lost runs seen to, and lineage told to others.

It waits for others (a bucket, a receiver), so it has a thread of its own, and nothing of the loop waits for it.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from octavo.errors import OctavoError
from octavo.governance.trail import keep_checkpoints
from octavo.loop.agenda import Stopping
from octavo.loop.refusals import RefusalWatch, Renewals
from octavo.operations import Context
from octavo.training.tracking.lost import LostRuns

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class Bookkeeping:
    """Chores that are done again and again, each for itself: one that fails holds up no other.

    Parameters
    ----------
    chores : sequence of callable
    every_s : float
        Of real time, between two rounds.
    """

    def __init__(self, chores: list[Callable[[], object]], *, every_s: float = _EVERY_S) -> None:
        self._chores = chores
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bookkeeping", daemon=True)
        self._troubles: dict[int, str] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, *, timeout_s: float) -> None:
        """End after the chore that is being done, or without waiting any longer for its end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        with suppress(Stopping):
            while not self._stopping.is_set():
                for place, chore in enumerate(self._chores):
                    if not self._stopping.is_set():
                        self._do(place, chore)
                self._stopping.wait(self._every_s)

    def _do(self, place: int, chore: Callable[[], object]) -> None:
        trouble = ""
        try:
            chore()
        except OctavoError as error:
            trouble = error.message
        except Exception as error:  # the edge of the thread: what nobody foresaw ends no other chore
            trouble = f"{type(error).__name__}: {error}"
            log.debug("a chore failed", exc_info=error)
        if trouble and trouble != self._troubles.get(place):
            log.error("bookkeeping is behind: %s", trouble)
        self._troubles[place] = trouble


def chores_of(context: Context) -> list[Callable[[], object]]:
    """What there is to do for a project.

    Raises
    ------
    OctavoError
        If lineage is to be told in a way that there is not.
    """
    chores: list[Callable[[], object]] = [
        lambda: keep_checkpoints(context),
        RefusalWatch(context).look,
        Renewals(context).look,
        LostRuns(context).look,
    ]
    if context.config.lineage.openlineage:
        # Only those who want events have the library that writes them.
        from octavo.governance.openlineage.receivers import open_receiver

        send = open_receiver(context.config)
        assert send is not None, "the settings name one"
        from octavo.governance.openlineage.delivery import deliver
        from octavo.governance.openlineage.outbox import fill_outbox

        chores += [lambda: fill_outbox(context), lambda: deliver(context, send)]
    return chores
