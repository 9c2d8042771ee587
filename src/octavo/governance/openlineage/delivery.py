"""Telling: what waits in the outbox is sent in its order, as often as it takes, and by one process at a time."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from octavo.clock import Clock, SystemClock
from octavo.errors import Conflict, InvalidRequest, OctavoError
from octavo.governance.openlineage.outbox import LineageMessage
from octavo.operations import Context

log = logging.getLogger(__name__)

AT_ONCE = 100
REFUSALS = 5
"""After how many refusals by the receiver an event is passed over; one that cannot be reached refuses nothing."""

_LONGEST_PAUSE_S = 600

Send = Callable[[str], None]
"""Tells one event; raises Unavailable if nobody could be told, InvalidRequest if it was refused."""


def deliver(context: Context, send: Send, *, clock: Clock | None = None) -> int:
    """Tell what waits, up to `AT_ONCE` events; how many were told.

    It ends at the first that cannot be told now, so that the order is kept. Pauses between tries are of real time.
    """
    now = (clock or SystemClock()).now
    told = 0
    for _ in range(AT_ONCE):
        message = _claim(context, now())
        if message is None or not _tell(context, message, send, now()):
            break
        told += 1
    return told


def _claim(context: Context, now: datetime) -> LineageMessage | None:
    """The first that waits, unless its time has not come; nobody else takes it before the pause is over."""
    try:
        with context.transaction() as tx:
            waiting = tx.find(LineageMessage, is_waiting=True, limit=1)
            if not waiting or (waiting[0].try_after is not None and now < waiting[0].try_after):
                return None
            pause_s = min(2.0 ** (waiting[0].tries + 1), _LONGEST_PAUSE_S)
            claimed = replace(waiting[0], tries=waiting[0].tries + 1, try_after=now + timedelta(seconds=pause_s))
            tx.replace(waiting[0], claimed)
            return claimed
    except Conflict:  # another worker was first
        return None


def _tell(context: Context, message: LineageMessage, send: Send, now: datetime) -> bool:
    """Send one, and note what came of it; False if the next one must wait."""
    try:
        send(message.body)
    except InvalidRequest as error:
        is_given_up = message.tries >= REFUSALS
        if is_given_up:
            log.error("the OpenLineage event %s is given up: %s", message.id, error.message)
        _note(context, replace(message, error=error.message, is_waiting=not is_given_up))
        return is_given_up
    except OctavoError as error:
        log.warning("OpenLineage events wait for their receiver: %s", error.message)
        _note(context, replace(message, error=error.message))
        return False
    _note(context, replace(message, is_waiting=False, body="", told_at=now, error=""))
    return True


def _note(context: Context, message: LineageMessage) -> None:
    with context.transaction() as tx:
        tx.put(message)
