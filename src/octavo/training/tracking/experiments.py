"""Experiments: what runs belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from octavo.errors import Conflict, InvalidRequest, NotFound
from octavo.stores.ports import Transaction
from octavo.training.tracking.names import check_title

DEFAULT = "Default"
"""The experiment of runs that name none; its id is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What runs belong to; each model has one of its name.

    Attributes
    ----------
    id : str
        A number.
    deleted_at : datetime or None
        Since when it is put away; it can be restored.
    """

    kind: ClassVar[str] = "run_experiment"

    id: str
    name: str
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    deleted_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.id


def ensure(tx: Transaction, name: str, *, now: datetime) -> Experiment:
    """The experiment of a name, made if there is none.

    Raises
    ------
    Conflict
        If it is deleted.
    """
    check_title(name, field="experiment")
    found = by_name(tx, name)
    if found is None:
        return add(tx, name, tags={}, now=now)
    if found.deleted_at is not None:
        raise Conflict(
            f"the experiment {name!r} is deleted; restore it, or name another",
            experiment=name,
        )
    return found


def add(tx: Transaction, name: str, *, tags: Mapping[str, str], now: datetime) -> Experiment:
    """A new experiment.

    Raises
    ------
    Conflict
        If there is one of the name.
    """
    if not check_title(name, field="name").strip():
        raise InvalidRequest("an experiment needs a name", field="name", fix="give one")
    refuse_taken(tx, name)
    number = 0 if name == DEFAULT else 1 + max((int(one.id) for one in tx.find(Experiment)), default=0)
    made = Experiment(id=str(number), name=name, created_at=now, tags=tags)
    tx.add(made)
    return made


def named(tx: Transaction, experiment: str) -> Experiment:
    """The experiment of a name or an id; a name goes first.

    Raises
    ------
    NotFound
        If there is none.
    """
    found = by_name(tx, experiment) or tx.get(Experiment, experiment)
    if found is None:
        raise NotFound("experiment", experiment, [one.name for one in tx.find(Experiment)])
    return found


def by_name(tx: Transaction, name: str) -> Experiment | None:
    """The experiment of a name."""
    found = tx.find(Experiment, name=name, limit=1)
    return found[0] if found else None


def refuse_taken(tx: Transaction, name: str) -> None:
    """Refuse a name that an experiment has.

    Raises
    ------
    Conflict
        If one has it.
    """
    if found := by_name(tx, name):
        state = "deleted, and keeps its name" if found.deleted_at else "there already"
        raise Conflict(f"the experiment {name!r} is {state} (id {found.id})", experiment=name)
