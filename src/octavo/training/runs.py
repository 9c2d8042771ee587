"""Runs: every training, whether it succeeded or not."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training of one model.

    Attributes
    ----------
    id : str
        UUID version 7.
    as_of : datetime
        Only what was known before this moment is used.
    trigger : str
        ``user``, or a trigger's name with its cause.
    dataset : str
        Digest of the training set.
    code : str
        Digest of the project's code.
    version : int or None
        The model version that it made.
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

    @property
    def key(self) -> str:
        return self.id
