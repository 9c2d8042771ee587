"""Ends a predictor whose event loop stands still, so that whoever started it starts it anew.

A model that never comes back holds up everything else that its process answers, and cannot be interrupted from within.
Its process can be ended: callers are told by their broken connections, and other workers do not notice.
"""

import faulthandler
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType

from octavo.serving.models import LoadedModel

log = logging.getLogger(__name__)

STUCK = 70
"""How a process ends whose event loop stood still."""

_SHORTEST_S = 1.0
_LOOKS = 10
_MORE_PATIENCE = 1.5


class Watchdog:
    """Watches one event loop from a thread of its own.

    What holds the interpreter, so that this thread cannot look either, is ended by a timer of the system's, half as
    late again; and so is a process that was halted as a whole for so long.

    Parameters
    ----------
    after_s : float
        How long the loop may stand still, a second at least; 0 for ever.
    note : callable
        Is told the digest of the model in which it stood still, before the process ends.
    """

    def __init__(self, *, after_s: float, note: Callable[[str], None]) -> None:
        self._note = note
        self._after_s = after_s and max(after_s, _SHORTEST_S)
        self._has_turned = True
        self._stopping = threading.Event()
        self._watched = 0
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watch the loop of this thread."""
        self._watched = threading.get_ident()
        if self._after_s:
            self._thread.start()

    def turned(self) -> None:
        """Say that the loop turns."""
        self._has_turned = True

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        still = 0
        while not self._stopping.wait(self._after_s / _LOOKS):
            still = 0 if self._has_turned else still + 1
            self._has_turned = False
            if not still:
                faulthandler.dump_traceback_later(_MORE_PATIENCE * self._after_s, exit=True)
            if still >= _LOOKS:
                self._end()
        faulthandler.cancel_dump_traceback_later()

    def _end(self) -> None:
        frame = sys._current_frames().get(self._watched)
        model = _asked(frame)
        facts = {} if model is None else {"model": model.plan.model, "digest": model.digest}
        log.critical("nothing was answered for %g s; this process ends", self._after_s, extra=facts)
        traceback.print_stack(frame)
        try:
            if model is not None:
                self._note(model.digest)
        except Exception:  # the process ends, whatever its disk says
            log.exception("that cannot be noted")
        os._exit(STUCK)


def _asked(frame: FrameType | None) -> LoadedModel | None:
    """The model that is being asked, if one is."""
    while frame is not None:
        if isinstance(found := frame.f_locals.get("self"), LoadedModel):
            return found
        frame = frame.f_back
    return None
