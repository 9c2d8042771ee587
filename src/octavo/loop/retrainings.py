"""Which trainings an incident has brought about, so that it brings about one at a time, and tells of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from octavo.monitoring.incidents import add_to_timeline, incident_of
from octavo.operations import Context
from octavo.stores.ports import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """What was done about an incident.

    Attributes
    ----------
    incident : str
        Its id.
    runs : tuple of str
        The trainings that it started or shares with another incident, the newest last.
    again_at : datetime or None
        When another is tried, because the newest did not help; None while that is not known.
    """

    kind: ClassVar[str] = "retraining"

    incident: str
    model: str
    runs: tuple[str, ...] = ()
    again_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.incident


def started(tx: Transaction, incident: str, *, model: str, run: str) -> None:
    """Note that a training is about an incident."""
    before = tx.get(Retraining, incident)
    if before is None:
        tx.add(Retraining(incident=incident, model=model, runs=(run,)))
    elif run not in before.runs:
        tx.replace(before, replace(before, runs=(*before.runs, run), again_at=None))


def tell(context: Context, *, model: str, run: str, text: str) -> None:
    """Add to the timelines of all incidents that a training is about; what stands there already is not added again."""
    now = context.clock.now()
    with context.transaction() as tx:
        for retraining in tx.find(Retraining, model=model):
            if run in retraining.runs:
                note(tx, retraining.incident, at=now, text=text)


def note(tx: Transaction, incident: str, *, at: datetime, text: str) -> None:
    """Add to an incident's timeline what does not stand there already."""
    if all(entry.text != text for entry in incident_of(tx, incident).timeline):
        add_to_timeline(tx, incident, at=at, text=text)
