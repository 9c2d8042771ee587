"""A version beside the one that was live, on the same held-out rows; kept with the version as an artifact."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from octavo.definitions.models import Task
from octavo.errors import IntegrityError, InvalidRequest
from octavo.registry.gates.candidates import Candidate, Floats
from octavo.training.evaluation import difference, evaluate
from octavo.training.intervals import Interval
from octavo.training.metrics import METRICS, metric
from octavo.training.slicing import Cut, cut

_MOST_SLICES, _FEWEST_ROWS = 40, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """A metric of both.

    Attributes
    ----------
    difference : Interval
        How far the metric of the version lies above the champion's, drawn together.
    """

    name: str
    higher_is_better: bool
    ours: Interval
    theirs: Interval
    difference: Interval

    @property
    def is_better(self) -> bool | None:
        """Whether the version is surely better; None where chance may explain the difference."""
        if self.difference.low <= 0 <= self.difference.high:
            return None
        return (self.difference.value > 0) == self.higher_is_better


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSlice:
    """The first metric of both on a part of the rows."""

    name: str
    rows: int
    compared: ComparedMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersApart:
    """How far the two versions' answers for the same row lie apart, without signs.

    Attributes
    ----------
    correlation : float or None
        Of the answers; None where one version always answers the same.
    flipped : float or None
        Of a binary model the share of rows that fall to the other side of one half.
    """

    mean: float
    median: float
    most: float
    greatest: float
    correlation: float | None
    flipped: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A version and the one that was live when it was made.

    Attributes
    ----------
    champion : int
        The live version.
    rows, learned : int
        How many both answered, and from how many of them the champion may have learned.
    why : str
        Why nothing was compared; empty if it was.
    """

    champion: int
    rows: int
    learned: int = 0
    why: str = ""
    metrics: tuple[ComparedMetric, ...] = ()
    answers: AnswersApart | None = None
    slices: tuple[ComparedSlice, ...] = ()


def compare(candidate: Candidate) -> Comparison | None:
    """Compare a candidate with the live version; None while there is none."""
    champion, holdout = candidate.champion, candidate.trained.training_set.holdout
    if champion is None:
        return None
    number, theirs = champion.version.version, champion.predictions
    if theirs is None:
        return Comparison(champion=number, rows=0, why=champion.why)
    names = tuple(candidate.trained.report.metrics)
    ours, task = candidate.predictions, candidate.trained.model.task
    compared = [found for name in names if (found := _metric(name, task, holdout.y, ours, theirs)) is not None]
    return Comparison(
        champion=number,
        rows=len(holdout),
        learned=champion.learned,
        metrics=tuple(compared),
        answers=_apart(ours, theirs, task=task),
        slices=_slices(candidate, theirs, name=names[0]),
    )


def encode_comparison(comparison: Comparison) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(comparison, order="deterministic")


def decode_comparison(data: bytes) -> Comparison:
    """The comparison that `encode_comparison` wrote.

    Raises
    ------
    IntegrityError
        If the bytes are none.
    """
    try:
        return msgspec.json.decode(data, type=Comparison)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"these bytes compare no versions: {error}; train the model again") from error


def _metric(name: str, task: Task, labels: Floats, ours: Floats, theirs: Floats) -> ComparedMetric | None:
    judged = metric(name, task=task)
    try:
        both = [evaluate(labels, each, metrics=(name,), task=task)[name] for each in (ours, theirs)]
        apart = difference(labels, ours=ours, theirs=theirs, metric=judged)
    except InvalidRequest:
        return None
    return ComparedMetric(
        name=name, higher_is_better=judged.higher_is_better, ours=both[0], theirs=both[1], difference=apart
    )


def _apart(ours: Floats, theirs: Floats, *, task: Task) -> AnswersApart:
    apart = np.abs(ours - theirs)
    varies = np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return AnswersApart(
        mean=float(apart.mean()),
        median=float(np.median(apart)),
        most=float(np.quantile(apart, 0.99)),
        greatest=float(apart.max()),
        correlation=float(np.corrcoef(ours, theirs)[0, 1]) if varies else None,
        flipped=float(((ours >= 0.5) != (theirs >= 0.5)).mean()) if task is Task.BINARY else None,
    )


def _slices(candidate: Candidate, theirs: Floats, *, name: str) -> tuple[ComparedSlice, ...]:
    """Those that gates name, with enough rows."""
    data, model = candidate.trained.training_set, candidate.trained.model
    named = tuple(dict.fromkeys(one for gate in model.gates for one in gate.slices))
    cuts: Sequence[Cut] = cut(data.watched, named) if data.watched is not None and named else ()
    found = []
    for each in [one for one in cuts if one.rows >= _FEWEST_ROWS][:_MOST_SLICES]:
        chosen = each.chosen
        compared = _metric(
            name, METRICS[name].task, data.holdout.y[chosen], candidate.predictions[chosen], theirs[chosen]
        )
        if compared is not None:
            found.append(ComparedSlice(name=each.name, rows=each.rows, compared=compared))
    return tuple(found)
