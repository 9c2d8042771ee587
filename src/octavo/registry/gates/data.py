"""Gates on the training rows: enough of them, with values, as expected, and no input that knows the answer."""

from collections.abc import Iterator, Mapping

import numpy as np

from octavo.definitions.gates import DataChecks
from octavo.definitions.models import Task
from octavo.registry.gates.candidates import Candidate, Floats, Verdict
from octavo.training.evaluation import value
from octavo.training.metrics import METRICS

_ROWS, _FEWEST, _MOST_WORDS = 20_000, 100, 100
_MOST_NAMED = 3


def check_data(gate: DataChecks, candidate: Candidate) -> Verdict:
    """Whether all that is asked of the training rows holds; the evidence names what does not."""
    numbers: dict[str, float] = {}
    problems: list[str] = []
    for found, said in (
        _rows(gate, candidate),
        _nulls(gate, candidate),
        _label(gate, candidate),
        _expectations(gate, candidate),
        _leaks(gate, candidate),
    ):
        numbers |= found
        problems += said
    rows = len(candidate.trained.training_set.train)
    return Verdict(
        passed=not problems,
        evidence="; ".join(problems) or f"{rows:,} training rows are as they should be{_looked(numbers)}",
        numbers=numbers,
    )


Found = tuple[dict[str, float], list[str]]


def _rows(gate: DataChecks, candidate: Candidate) -> Found:
    rows = len(candidate.trained.training_set.train)
    few = gate.rows is not None and rows < gate.rows
    return {"rows": rows}, [f"{rows:,} training rows are fewer than {gate.rows:,}"] if few else []


def _nulls(gate: DataChecks, candidate: Candidate) -> Found:
    profiles = candidate.trained.report.profiles
    if gate.nulls is None:
        return {}, []
    bounds = gate.nulls if isinstance(gate.nulls, Mapping) else dict.fromkeys(profiles, gate.nulls)
    over = {name: profiles[name].absent for name, most in bounds.items() if profiles[name].absent > most}
    worst = sorted(over, key=lambda name: -over[name])
    named = ", ".join(f"{name} {over[name]:.2%} (at most {bounds[name]:.2%})" for name in worst[:_MOST_NAMED])
    said = [f"too few values, without one: {named}{_more(len(over))}"] if over else []
    return {"most_absent": max((profiles[name].absent for name in bounds), default=0.0)}, said


def _label(gate: DataChecks, candidate: Candidate) -> Found:
    mean = float(candidate.trained.training_set.train.y.mean())
    if gate.label is None or gate.label[0] <= mean <= gate.label[1]:
        return {"label_mean": mean}, []
    what = "share of positives" if candidate.trained.model.task is Task.BINARY else "mean label"
    return {"label_mean": mean}, [f"the {what} is {mean:.4g}, not from {gate.label[0]:g} to {gate.label[1]:g}"]


def _expectations(gate: DataChecks, candidate: Candidate) -> Found:
    breaches = candidate.trained.report.breaches if gate.expectations else ()
    return {"breaches": len(breaches)}, [str(breach) for breach in breaches[:_MOST_NAMED]]


def _leaks(gate: DataChecks, candidate: Candidate) -> Found:
    if gate.leak is None:
        return {}, []
    known = dict(_knowing(candidate))
    if not known:
        return {}, []
    best = max(known, key=lambda name: known[name])
    of = "area under the curve" if candidate.trained.model.task is Task.BINARY else "rank correlation"
    suspects = sorted((name for name, how in known.items() if how >= gate.leak), key=lambda name: -known[name])
    said = [
        f"{name} alone sorts the labels ({of} {known[name]:.4g}, the bound {gate.leak:g}); was it known at the "
        "decision?"
        for name in suspects[:_MOST_NAMED]
    ]
    return {"most_knowing": known[best]}, said


def _knowing(candidate: Candidate) -> Iterator[tuple[str, float]]:
    """How well each input alone sorts the training labels, in either direction, on rows spread over them."""
    train = candidate.trained.training_set.train
    chosen = np.unique(np.linspace(0, len(train) - 1, min(_ROWS, len(train))).astype(np.intp))
    labels, matrix, binary = train.y[chosen], train.X[chosen], candidate.trained.model.task is Task.BINARY
    for place, name in enumerate(train.columns):
        column = matrix[:, place]
        if name in train.categories:
            if len(train.categories[name]) > _MOST_WORDS:
                continue
            column = _by_label(column, labels)
        present = ~np.isnan(column)
        found = [_sorting(labels[present], column[present], binary=binary)]
        if _FEWEST <= present.sum() <= len(present) - _FEWEST:  # that a value is missing may tell as much as a value
            found.append(_sorting(labels, present.astype(np.float64), binary=binary))
        yield name, max(found)


def _by_label(places: Floats, labels: Floats) -> Floats:
    """Words by the mean label of every second row, told of the others."""
    words, inverse = np.unique(np.nan_to_num(places, nan=-2.0), return_inverse=True)
    told = np.arange(len(labels)) % 2 == 0
    sums = np.bincount(inverse[told], labels[told], minlength=len(words))
    rows = np.bincount(inverse[told], minlength=len(words))
    means = np.divide(sums, rows, out=np.full(len(words), labels.mean()), where=rows > 0)
    return np.where(told, np.nan, means[inverse])


def _sorting(labels: Floats, column: Floats, *, binary: bool) -> float:
    """The area under the curve, or the size of Spearman's correlation; 0 where there is too little to tell."""
    if len(labels) < _FEWEST or labels.min() == labels.max() or column.min() == column.max():
        return 0.0
    if binary:
        area = value(labels, column, metric=METRICS["auc"])
        return max(area, 1 - area)
    return abs(float(np.corrcoef(_ranks(labels), _ranks(column))[0, 1]))


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: Floats = (np.cumsum(counts) - counts / 2)[inverse]
    return middle


def _more(found: int) -> str:
    return f" and {found - _MOST_NAMED} inputs more" if found > _MOST_NAMED else ""


def _looked(numbers: Mapping[str, float]) -> str:
    best = numbers.get("most_knowing")
    return "" if best is None else f"; the input that alone sorts the labels best does by {best:.4g}"
