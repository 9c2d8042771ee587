"""The guard on outcomes: whether the candidate's loss lies above the live version's by more than is allowed.

It may look as often as it likes (`octavo.release.sequential`). A loss is the absolute error of a number, or the squared
error of a probability. That of a number counts up to ten times the mean one of the live version's held-out rows, since
evidence needs a bound; so what it compares is not moved by a few monstrous errors. A prediction that failed has the
greatest loss. Of each unit one prediction counts, the first whose outcome became known: units are what is divided.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt

from octavo.definitions.guards import Guards
from octavo.definitions.models import Label, Task
from octavo.registry.versions import ModelVersion
from octavo.release.guards import Verdict
from octavo.release.sequential import divided, paired

Floats = npt.NDArray[np.float64]
_MOST = 10.0
_MOST_TOLD = 700.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedOutcomes:
    """Cases that both versions answered, in the order in which their outcomes became known.

    Attributes
    ----------
    candidate, live : ndarray, shape (n,)
        What they answered; NaN where one failed.
    labels : ndarray, shape (n,)
    """

    candidate: Floats
    live: Floats
    labels: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DividedOutcomes:
    """Cases that one of the versions answered, in the order in which their outcomes became known.

    Attributes
    ----------
    outputs, labels : ndarray, shape (n,)
        NaN where the version failed.
    is_candidate : ndarray of bool, shape (n,)
    share : float
        With which probability the candidate answers, in (0, 1).
    """

    outputs: Floats
    labels: Floats
    is_candidate: npt.NDArray[np.bool_]
    share: float


def greatest_loss(label: Label, live: ModelVersion | None) -> float | None:
    """The loss up to which errors count; None if that is not known of the live version."""
    if label.task is Task.BINARY:
        return 1.0
    errors = [] if live is None else [live.metrics[name] for name in ("mae", "rmse") if name in live.metrics]
    return _MOST * errors[0] if errors and np.isfinite(errors[0]) and errors[0] > 0 else None


def judge_outcomes(
    found: PairedOutcomes | DividedOutcomes, *, label: Label, most: float, guards: Guards, stages: int
) -> Verdict:
    """Judge a stage by the outcomes known by now.

    Parameters
    ----------
    most : float
        See `greatest_loss`.
    stages : int
        Among which the probability of a false alarm is divided.
    """
    assert guards.worse is not None, "outcomes are not judged without a bound"
    if isinstance(found, PairedOutcomes):
        ours, theirs = (_losses(outputs, found.labels, label, most) for outputs in (found.candidate, found.live))
        evidence = paired(ours, theirs, worse=guards.worse, most=most)
    else:
        losses = _losses(found.outputs, found.labels, label, most)
        ours, theirs = losses[found.is_candidate], losses[~found.is_candidate]
        evidence = divided(losses, found.is_candidate, share=found.share, worse=guards.worse, most=most)
    if not len(ours) or not len(theirs):
        return Verdict(complaint="", summary="no outcomes of both versions are known yet")
    needed, reached = log(max(1, stages) / guards.alpha), float(evidence.max())
    told = f"{exp(min(reached, _MOST_TOLD)):.3g} of {exp(needed):.3g}"
    summary = (
        f"{len(ours)} outcomes beside {len(theirs)} live ones: mean loss {ours.mean():.4g} (live {theirs.mean():.4g}), "
        f"evidence {told} that it is more than {guards.worse:.0%} worse"
    )
    complaint = f"its outcomes are worse than those of the live version ({summary})" if reached >= needed else ""
    return Verdict(complaint=complaint, summary=summary)


def _losses(outputs: Floats, labels: Floats, label: Label, most: float) -> Floats:
    errors = np.abs(outputs - labels)
    errors = errors if label.task is Task.REGRESSION else errors * errors
    found: Floats = np.where(np.isfinite(errors), np.minimum(errors, most), most)
    return found
