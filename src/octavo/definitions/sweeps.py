"""Sweeps: which hyperparameters of a model are searched, where, and by what they are judged."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from octavo.definitions.types import seconds
from octavo.errors import InvalidDefinition

Choice: TypeAlias = str

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_INT = re.compile(r"int:([-+]?\d+)\.\.([-+]?\d+)(:log)?\Z")
_FLOAT = re.compile(rf"float:({_NUMBER})\.\.({_NUMBER})(:log)?\Z")
_MOST_TRIALS, _MOST_CHOICES = 10_000, 100


class RangeKind(StrEnum):
    INT = "int"
    FLOAT = "float"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where a hyperparameter is searched.

    Attributes
    ----------
    low, high : float
        Of a number; both may be taken.
    log : bool
        Whether a number is searched by its order of magnitude.
    choices : tuple of str
        As texts; the kind of the parameter's default says what they are.
    """

    kind: RangeKind
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Choice, ...] = ()

    def __str__(self) -> str:
        if self.kind is RangeKind.CHOICE:
            return f"choice:{','.join(self.choices)}"
        low, high = (int(self.low), int(self.high)) if self.kind is RangeKind.INT else (self.low, self.high)
        return f"{self.kind}:{low}..{high}{':log' if self.log else ''}"


def parse_range(text: str, *, name: str) -> Range:
    """A range as people write it: ``int:2..10``, ``float:0.01..0.3``, ``float:1e-4..1:log``, ``choice:gbdt,dart``.

    Raises
    ------
    InvalidDefinition
        If it is none.
    """
    text = str(text).strip()
    if text.startswith("choice:"):
        choices = tuple(part.strip() for part in text.removeprefix("choice:").split(","))
        if not 2 <= len(set(choices)) == len(choices) <= _MOST_CHOICES or "" in choices:
            raise InvalidDefinition(f"{name}={text!r}: a choice is among 2 to {_MOST_CHOICES} texts, each another")
        return Range(kind=RangeKind.CHOICE, choices=choices)
    found = _INT.match(text) or _FLOAT.match(text)
    if found is None:
        raise InvalidDefinition(
            f"{name}={text!r} is no range: write int:2..10, float:0.01..0.3, float:1e-4..1:log or choice:a,b"
        )
    low, high, log = float(found[1]), float(found[2]), found[3] is not None
    if not low < high or not math.isfinite(high - low):
        raise InvalidDefinition(f"{name}={text!r}: a range goes from a number to a larger one")
    if log and low <= 0:
        raise InvalidDefinition(f"{name}={text!r}: a range that is searched by order of magnitude begins above 0")
    kind = RangeKind.INT if found.re is _INT else RangeKind.FLOAT
    return Range(kind=kind, low=low, high=high, log=log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A search for good hyperparameters of a model.

    Each trial learns from the rows before the stretch that lies before the held-out one, and is judged on that stretch;
    so nothing of the rows by which the model will be judged is ever seen.

    Attributes
    ----------
    params : mapping of name to str
        Where each is searched; see `parse_range`.
    metric : str
        By which trials are judged; the model's first unless given.
    timeout : str or None
        What a trial may take.
    prune : bool
        Whether a trial is ended that reports (`octavo.report`) less than half of those before did at the same step.
    seed : int
        The same seed tries the same, as long as one trial runs at a time.
    """

    params: Mapping[str, str]
    trials: int = 50
    metric: str = ""
    timeout: str | None = None
    prune: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.params:
            raise InvalidDefinition("a sweep searches at least one parameter: oc.Sweep(params={'depth': 'int:2..10'})")
        if type(self.trials) is not int or not 1 <= self.trials <= _MOST_TRIALS:
            raise InvalidDefinition(f"trials={self.trials!r} is no number from 1 to {_MOST_TRIALS:,}")
        if self.timeout is not None:
            seconds(self.timeout, what="timeout of a trial")
        _ = self.ranges

    @property
    def ranges(self) -> dict[str, Range]:
        """Where each parameter is searched."""
        return {name: parse_range(text, name=name) for name, text in self.params.items()}
