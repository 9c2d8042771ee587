"""What predictors refuse to take up: an incident and an entry of the audit trail for each, until they take it up.

A refusal is how an attack on a release looks from here: bytes that were changed, a statement about something else, an
older release put back. The old version goes on meanwhile, so that nobody else would notice.
"""

import time
from collections.abc import Callable
from datetime import datetime

from octavo.errors import NotFound
from octavo.identifiers import new_id
from octavo.monitoring.incidents import (
    Incident,
    IncidentKind,
    TimelineEntry,
    add_to_timeline,
    open_incidents,
    resolve,
)
from octavo.operations import Context
from octavo.processes import PREDICTOR, find_running
from octavo.release.acknowledgement import complaints
from octavo.release.publish import publish_current
from octavo.release.releases import DeploymentState
from octavo.stores.ports import Notice, Transaction

LASTS_S = 5.0
"""How long a predictor must refuse before somebody is told: it tries again by itself."""

_RENEW_EVERY_S = 600.0
_LONGEST, _MOST_ENTRIES = 500, 50


class RefusalWatch:
    """Sees to it that what a predictor refuses becomes known.

    Parameters
    ----------
    context : Context
    timer : callable
        Seconds, rising.
    """

    def __init__(self, context: Context, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._context, self._timer = context, timer
        self._since_s: dict[str, float] = {}

    def look(self) -> None:
        """Look once: open what has begun and lasts, note what has changed, resolve what is over."""
        config = self._context.config
        running = find_running(config.home, PREDICTOR) is not None
        said = complaints(config) if running else {}
        self._since_s = {name: self._since_s.get(name, self._timer()) for name in said}
        lasting = {name: said[name] for name, since in self._since_s.items() if self._timer() - since >= LASTS_S}
        notices = []
        with self._context.transaction() as tx:
            for state in tx.find(DeploymentState):
                known = _open(tx, state.deployment)
                reason = lasting.get(state.deployment)
                if reason is not None:
                    notices += self._note(tx, state, known, reason)
                elif known is not None and running and state.deployment not in said:
                    resolve(tx, known.id, at=self._now, text="resolved: the predictor refuses nothing any more")
        for notice in notices:
            self._context.stores.notifier.send(notice)

    def _note(self, tx: Transaction, state: DeploymentState, known: Incident | None, reason: str) -> list[Notice]:
        reason = reason[:_LONGEST]
        if known is not None:
            is_news = known.cause != reason and known.timeline[-1].text != reason
            if is_news and len(known.timeline) < _MOST_ENTRIES:
                add_to_timeline(tx, known.id, at=self._now, text=reason)
            return []
        tx.add(
            Incident(
                id=new_id(self._context.clock),
                deployment=state.deployment,
                model=state.model,
                version=state.live or 0,
                incident_kind=IncidentKind.REFUSAL,
                subject="release",
                value=1.0,
                threshold=1.0,
                opened_at=self._now,
                cause=reason,
                timeline=(TimelineEntry(at=self._now, text="opened: a predictor refuses what was published"),),
            )
        )
        self._context.audit(tx, "releases.refused", target=f"deployment={state.deployment} reason={reason}")
        text = f"a predictor refuses what was published for {state.deployment}, and goes on as before: {reason}"
        return [Notice(subject=f"{state.deployment}: a release is refused", text=text, at=self._now)]

    @property
    def _now(self) -> datetime:
        return self._context.clock.now()


class Renewals:
    """Sees to it that release statements never run out while somebody could renew them.

    Parameters
    ----------
    context : Context
    timer : callable
        Seconds, rising.
    """

    def __init__(self, context: Context, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._context, self._timer = context, timer
        self._again_s = 0.0

    def look(self) -> None:
        """Publish anew what is to be renewed, or was lost, now and then."""
        if self._timer() < self._again_s:
            return
        self._again_s = self._timer() + _RENEW_EVERY_S
        with self._context.transaction() as tx:
            states = tx.find(DeploymentState)
        for state in states:
            try:
                publish_current(self._context, state.deployment)
            except NotFound:  # it is not declared any more, or its version is gone; others say so
                continue


def _open(tx: Transaction, deployment: str) -> Incident | None:
    found = (one for one in open_incidents(tx, deployment) if one.incident_kind is IncidentKind.REFUSAL)
    return next(found, None)
