"""Runs: every training and every experiment, whether it succeeded or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class RunStatus(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"
    """Its process is no longer heard of. Should it be after all, it is running again."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it, as far as is known."""
        return self not in (RunStatus.REQUESTED, RunStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """The state of the working tree that a run's code came from.

    Attributes
    ----------
    commit : str
        40 or 64 hexadecimal digits; empty before the first commit.
    branch : str
        Empty if none is checked out.
    dirty : bool
        Whether files differ from the commit, or are not in it.
    diff : str
        Digest of the difference among the artifacts, as ``git diff HEAD --binary`` tells it; empty if there is none,
        or it was too long to keep, which `note` then says.
    untracked : tuple of str
        Files that are not in version control, of which the difference says nothing; the first hundred.
    note : str
        What of this could not be found out, or was left out.
    """

    commit: str
    branch: str = ""
    dirty: bool = False
    diff: str = ""
    untracked: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training of one model, or whatever else somebody logged.

    Attributes
    ----------
    id : str
        UUID version 7.
    model : str
        The declared model that is trained; empty for a run that trains none.
    as_of : datetime
        Only what was known before this moment is used.
    trigger : str
        ``user``, or a trigger's name with its cause.
    dataset : str
        Digest of the training set.
    code : str
        Digest of the project's code.
    metrics : mapping of str to float
        The latest value of each; the histories are `Transaction.points`.
    version : int or None
        The model version that it made.
    name : str
        What people call it.
    experiment : str
        What it belongs to, by name; the model's name for a training.
    parent : str or None
        The run that it is a part of, or follows.
    environment : str
        Digest of the environment lock among the artifacts: a line ``name==version`` for each package.
    hardware : mapping of str to str
        Of the machine.
    artifacts : mapping of str to str
        Digests by relative names such as ``plots/roc.svg``.
    log : str
        Digest of what its process wrote, among the artifacts.
    by : str
        Who started it, as in the audit trail.
    source : str
        What started it: a file, a notebook, a command.
    deleted_at : datetime or None
        Since when it is put away; it can be restored.
    heard_at : datetime or None
        When its process last gave a sign of life, by the wall clock; None for one that gives none.
    """

    kind: ClassVar[str] = "run"

    id: str
    model: str
    status: RunStatus
    trigger: str
    as_of: datetime
    started_at: datetime
    finished_at: datetime | None = None
    seconds: float = 0.0
    rows: int = 0
    dataset: str = ""
    code: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    version: int | None = None
    error: str = ""
    name: str = ""
    experiment: str = ""
    parent: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    git: GitState | None = None
    environment: str = ""
    hardware: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    log: str = ""
    by: str = ""
    source: str = ""
    deleted_at: datetime | None = None
    heard_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.id

    @property
    def belongs_to(self) -> str:
        """Its experiment; runs of older releases do not name it."""
        return self.experiment or self.model
