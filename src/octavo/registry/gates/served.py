"""What gates ask of predictions that were served: the registry does not know the log, so whoever registers tells it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewFound:
    """What an audit of the newest predictions found.

    Attributes
    ----------
    predictions, values : int
        How many were audited, and how many feature values of theirs.
    wrong : int
        How many values are not what the events say.
    why : str
        Which, if some are; or why nothing was audited.
    """

    predictions: int
    values: int
    wrong: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replayed:
    """Recorded requests, answered by a version that was not there.

    Attributes
    ----------
    given, answers : ndarray, shape (n_answered,), float64
        What was answered then, and what the version answers; only where both are numbers.
    failed : int
        How many requests the version gives no number for.
    skipped : int
        How many could not be asked again.
    why : str
        Of what failed or was skipped first.
    ids : ndarray of str, shape (n_answered,)
        Of the predictions.
    """

    given: Floats
    answers: Floats
    ids: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    failed: int = 0
    skipped: int = 0
    why: str = ""

    @property
    def asked(self) -> int:
        return len(self.answers) + self.failed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backtest:
    """What was answered and what a version would have, beside what came of it; in order of time.

    Attributes
    ----------
    labels, given, answers : ndarray, shape (n_rows,), float64
        The truth as the model predicts it, what was answered then, and what the version answers.
    why : str
        Why there is nothing; empty if there is something.
    """

    labels: Floats
    given: Floats
    answers: Floats
    why: str = ""


class ServedLog(Protocol):
    """Predictions of a model that were served and recorded."""

    def skew(self, *, last: int) -> SkewFound:
        """Audit the newest ones."""
        ...

    def replay(self, digest: str, *, last: int) -> Replayed:
        """Have the version of a bundle answer the newest ones again."""
        ...

    def backtest(self, digest: str, *, since: datetime, last: int) -> Backtest:
        """Have it answer the newest ones from a moment on whose outcome is known."""
        ...
