"""Experiments as they are on record: what was started, with which versions, and how it ended."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class ExperimentState(StrEnum):
    """running → stopped, or promoted: one of its versions became the live one."""

    RUNNING = "running"
    STOPPED = "stopped"
    PROMOTED = "promoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedArm:
    """A version that an experiment compares, and its percentage of the units."""

    name: str
    model: str
    version: int
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedExperiment:
    """An experiment that runs or has run.

    Attributes
    ----------
    id : str
        UUID version 7.
    name : str
        As declared. The same name gives the same units to the same arms whenever it is started.
    unit : str or None
        The field by which units are told apart; each prediction is its own if None.
    due_at : datetime
        When its declared length is over and it can be judged.
    sequence : int
        Of the first manifest that holds it.
    served_at : datetime or None
        When the predictor took it up; None before that.
    reason : str
        Why it ended.
    promoted : str
        The arm whose version became the live one; empty if none did.
    """

    kind: ClassVar[str] = "experiment"

    id: str
    deployment: str
    name: str
    unit: str | None
    arms: tuple[StartedArm, ...]
    started_at: datetime
    started_by: str
    due_at: datetime
    sequence: int
    state: ExperimentState = ExperimentState.RUNNING
    served_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""
    promoted: str = ""

    @property
    def key(self) -> str:
        return self.id

    @property
    def takes_all(self) -> bool:
        """Whether no unit is left that a canary could answer."""
        return sum(arm.percent for arm in self.arms) > 100 - 1e-6

    def group(self, arm: str) -> str:
        """What the predictions of an arm are marked with."""
        return f"{self.name}/{arm}"

    def uses(self, model: str, version: int) -> bool:
        """Whether one of its arms answers by a version."""
        return any((arm.model, arm.version) == (model, version) for arm in self.arms)


def ended(
    experiment: StartedExperiment, state: ExperimentState, *, at: datetime, reason: str, promoted: str = ""
) -> StartedExperiment:
    """The experiment once it is over."""
    return replace(experiment, state=state, ended_at=at, reason=reason, promoted=promoted)
