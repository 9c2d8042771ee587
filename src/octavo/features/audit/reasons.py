"""What an audit says of served values: of each its reason, of each feature how many of each, with examples."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from octavo.features.audit.late import LateEvent
from octavo.features.audit.recomputed import AT, Recomputed, Served
from octavo.features.values import FeatureStatus

_MOST_EXAMPLES = 3
"""Of one reason and feature."""

Reasons = npt.NDArray[np.object_]


class Reason(StrEnum):
    """What is to be said of a value that was served."""

    EQUAL = "equal"
    LATE_DATA = "late data"
    """An event that counted came, or was applied, after the prediction."""
    CODE_CHANGED = "code changed"
    """The project declares the feature otherwise today, and so gives another value."""
    STORE_WRONG = "store wrong"
    """None of the others: the online store did not hold what the events say."""
    STORE_UNREACHABLE = "store unreachable"
    """A default stood in."""
    FUNCTION_UNSTEADY = "function unsteady"
    """An on-demand function gives another value for the same request: it goes by something else too."""


ALARMING = (Reason.STORE_WRONG, Reason.FUNCTION_UNSTEADY)
"""Reasons for which someone must act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A value that is not equal.

    Attributes
    ----------
    served, recomputed : float or None
        None where there is no value. Recomputed by today's definition where the reason is that it changed and the value
        was right by the one served with.
    served_status, recomputed_status : str
        As `octavo.features.values.FeatureStatus.word` gives it.
    events : tuple of LateEvent
        Those that were late.
    """

    prediction: str
    made_at: datetime
    reason: Reason
    served: float | None
    served_status: str
    recomputed: float | None
    recomputed_status: str
    events: tuple[LateEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAudit:
    """What an audit found of one feature.

    Attributes
    ----------
    name : str
        As the model calls it.
    counts : mapping of reason to number
        Of values; those that do not occur are absent.
    is_changed : bool
        Whether the project declares it otherwise today than the versions that were audited.
    examples : tuple of Example
        A few of each reason, the newest first.
    """

    name: str
    counts: Mapping[str, int]
    is_changed: bool
    examples: tuple[Example, ...] = ()

    def count(self, reason: Reason) -> int:
        return self.counts.get(reason, 0)

    @property
    def values(self) -> int:
        """How many were audited."""
        return sum(self.counts.values())

    @property
    def wrong(self) -> int:
        """How many values call for someone."""
        return sum(self.count(reason) for reason in ALARMING)


def told(
    name: str,
    reasons: Reasons,
    served: Served,
    found: Recomputed,
    *,
    is_changed: bool,
    late: Callable[[int], tuple[LateEvent, ...]] = lambda row: (),
) -> FeatureAudit:
    """What is to be said of one feature, whose values are the only column of `served` and `found`.

    Parameters
    ----------
    late : callable
        The events that explain a row.
    """
    counts: dict[str, int] = {}
    examples: list[Example] = []
    for row, given in enumerate(reasons):
        reason = Reason(given)
        counts[reason.value] = counts.get(reason.value, 0) + 1
        if reason is not Reason.EQUAL and counts[reason] <= _MOST_EXAMPLES:
            events = late(row) if reason is Reason.LATE_DATA else ()
            examples.append(_example(row, reason, served, found, events=events))
    return FeatureAudit(name=name, counts=counts, is_changed=is_changed, examples=tuple(examples))


def merged(audits: Iterable[FeatureAudit]) -> tuple[FeatureAudit, ...]:
    """What was found of the same features in several lots of predictions, as one."""
    found: dict[str, FeatureAudit] = {}
    for audit in audits:
        known = found.get(audit.name)
        found[audit.name] = audit if known is None else _both(known, audit)
    return tuple(found.values())


def _both(one: FeatureAudit, other: FeatureAudit) -> FeatureAudit:
    reasons = [reason for reason in Reason if one.count(reason) or other.count(reason)]
    examples = sorted((*one.examples, *other.examples), key=lambda example: example.made_at, reverse=True)
    return FeatureAudit(
        name=one.name,
        counts={reason.value: one.count(reason) + other.count(reason) for reason in reasons},
        is_changed=one.is_changed or other.is_changed,
        examples=tuple(
            example for reason in reasons for example in [e for e in examples if e.reason is reason][:_MOST_EXAMPLES]
        ),
    )


def _example(row: int, reason: Reason, served: Served, found: Recomputed, *, events: tuple[LateEvent, ...]) -> Example:
    return Example(
        prediction=served.ids[row],
        made_at=served.spine.column(AT)[row].as_py(),
        reason=reason,
        served=_number(served.values[row, 0]),
        served_status=FeatureStatus(served.status[row, 0]).word,
        recomputed=_number(found.values[row, 0]),
        recomputed_status=FeatureStatus(found.status[row, 0]).word,
        events=events[:_MOST_EXAMPLES],
    )


def _number(value: np.float32) -> float | None:
    return float(value) if np.isfinite(value) else None
