"""What starts a retraining by the same code on newer data."""

from dataclasses import dataclass
from enum import StrEnum

from octavo.definitions.calendars import check_calendar
from octavo.definitions.types import seconds
from octavo.errors import InvalidDefinition

GIVE_UP_AFTER = 3


class TriggerKind(StrEnum):
    CRON = "cron"
    DRIFT = "drift"
    PERFORMANCE = "performance"
    NEW_ROWS = "new_rows"
    STALENESS = "staleness"
    BETTER_FOUND = "better_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What starts a retraining.

    Attributes
    ----------
    every : str
        Of staleness: how old the newest training may be.
    give_up_after : int
        After so many failures in a row it starts no more, until a person resumes it.
    """

    kind: TriggerKind
    cron: str | None = None
    zone: str = "UTC"
    rows: int | None = None
    every: str = ""
    give_up_after: int = GIVE_UP_AFTER

    def __post_init__(self) -> None:
        if self.give_up_after < 1:
            raise InvalidDefinition(f"{self.name}: give_up_after={self.give_up_after} is not 1 at least")

    @property
    def name(self) -> str:
        detail = {
            TriggerKind.CRON: f"({self.cron} {self.zone})",
            TriggerKind.NEW_ROWS: f"({self.rows})",
            TriggerKind.STALENESS: f"({self.every})",
        }
        return self.kind + detail.get(self.kind, "")


def cron(expression: str, *, zone: str = "UTC", give_up_after: int = GIVE_UP_AFTER) -> Trigger:
    """Retrain at the times of a five-field cron expression in a time zone.

    A time that the zone leaves out when clocks go forward comes at the first moment after; one that there is twice when
    they go back counts once, unless the hours begin with ``*``.

    Raises
    ------
    InvalidDefinition
        If the expression or the zone cannot be read.
    """
    check_calendar(expression, zone)
    return Trigger(kind=TriggerKind.CRON, cron=expression, zone=zone, give_up_after=give_up_after)


def on_drift(*, give_up_after: int = GIVE_UP_AFTER) -> Trigger:
    """Retrain when a drift incident opens."""
    return Trigger(kind=TriggerKind.DRIFT, give_up_after=give_up_after)


def on_performance(*, give_up_after: int = GIVE_UP_AFTER) -> Trigger:
    """Retrain when an incident opens because the error over matured outcomes grew."""
    return Trigger(kind=TriggerKind.PERFORMANCE, give_up_after=give_up_after)


def on_new_rows(rows: int, *, give_up_after: int = GIVE_UP_AFTER) -> Trigger:
    """Retrain when this many labelled rows are newer than the newest training set."""
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise InvalidDefinition(f"on_new_rows({rows!r}): give a number of rows, 1 at least")
    return Trigger(kind=TriggerKind.NEW_ROWS, rows=rows, give_up_after=give_up_after)


def on_staleness(age: str, *, give_up_after: int = GIVE_UP_AFTER) -> Trigger:
    """Retrain when the newest training is this old, whatever came of it; the first one is a person's."""
    seconds(age, what="age of a training")
    return Trigger(kind=TriggerKind.STALENESS, every=age, give_up_after=give_up_after)


def on_better_found(*, give_up_after: int = GIVE_UP_AFTER) -> Trigger:
    """Retrain by the best parameters of a sweep that ended after the live version was trained.

    Only if they are not those that the live version has, and nothing was trained by that sweep yet. Later retrainings
    keep them.
    """
    return Trigger(kind=TriggerKind.BETTER_FOUND, give_up_after=give_up_after)
