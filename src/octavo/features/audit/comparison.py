"""Training and serving, compared: whether predictions were given the values that a training set would have had then.

What a prediction was given stands in its record. The same values are computed once more from the table of events, by
the definitions that the version was packed with, from what was known before the prediction; and each that differs is
given its reason.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from octavo.definitions.features import Feature, FeatureView
from octavo.definitions.models import input_name
from octavo.features.audit.late import LateEvent, not_arrived, right_by_arrival, taken_back
from octavo.features.audit.reasons import FeatureAudit, Reason, Reasons, told
from octavo.features.audit.recomputed import Mask, Recomputed, Served, recompute
from octavo.stores.ports import Tables

Progress = Callable[[float, str], None]


def audit_view(
    tables: Tables,
    *,
    served_by: FeatureView,
    declared: FeatureView | None,
    served: Served,
    lag: timedelta,
    progress: Progress = lambda fraction, message: None,
) -> tuple[FeatureAudit, ...]:
    """Audit the features of one view.

    Parameters
    ----------
    served_by : FeatureView
        As the predictions' version has it; columns of `served` are its features, in order.
    declared : FeatureView or None
        As the project declares it today; None if it does no more.
    served : Served
        The newest prediction first.
    lag : timedelta
        How long applying an event may take without being wrong.
    """
    changed = changed_features(served_by, declared)
    found = recompute(tables, served_by, served)
    reasons = _reasons(found, served, changed)
    if changed.any():
        found = _compared_with_today(tables, reasons, found, served, served_by=served_by, declared=declared)
    late = _late(tables, served_by, served, reasons, judged=~changed, lag=lag, progress=progress)

    def events_of(row: int) -> tuple[LateEvent, ...]:
        if row not in late:
            late[row] = not_arrived(tables, served_by, served.take([row]))
        return late[row]

    return tuple(
        told(
            input_name(served_by.name, feature.name),
            reasons[:, place],
            served.of([place]),
            found.of([place]),
            is_changed=bool(changed[place]),
            late=events_of,
        )
        for place, feature in enumerate(served_by.features)
    )


def _late(
    tables: Tables,
    view: FeatureView,
    served: Served,
    reasons: Reasons,
    *,
    judged: Mask,
    lag: timedelta,
    progress: Progress,
) -> dict[int, tuple[LateEvent, ...]]:
    """Mark in `reasons` what late events explain; the events by row where they are not simply those yet to come."""
    doubtful = np.flatnonzero((reasons == Reason.STORE_WRONG).any(axis=1))
    if not len(doubtful):
        return {}
    arrival = right_by_arrival(tables, view, served.take(doubtful), judged=judged)
    late: dict[int, tuple[LateEvent, ...]] = {}
    others = doubtful[~arrival].tolist()
    for done, row in enumerate(others):
        progress(done / len(others), f"looking for late events of {view.name}")
        if events := taken_back(tables, view, served.take([row]), judged=judged, lag=lag):
            late[row] = events
    for row in (*doubtful[arrival].tolist(), *late):
        reasons[row, reasons[row] == Reason.STORE_WRONG] = Reason.LATE_DATA
    return late


def changed_features(served_by: FeatureView, declared: FeatureView | None) -> Mask:
    """Which features the project declares otherwise today, or no more."""
    if declared is None or _base(declared) != _base(served_by):
        return np.ones(len(served_by.features), np.bool_)
    today = {feature.name: _meaning(feature) for feature in declared.features}
    return np.array([today.get(feature.name) != _meaning(feature) for feature in served_by.features], np.bool_)


def _reasons(found: Recomputed, served: Served, changed: Mask) -> Reasons:
    """Each value's reason as far as it can be told without looking for late events; shape (n_rows, n_features)."""
    reasons = np.full(found.values.shape, Reason.STORE_WRONG, object)
    reasons[:, changed] = Reason.CODE_CHANGED
    reasons[found.agrees] = Reason.EQUAL
    reasons[~found.agrees & served.unread[:, np.newaxis]] = Reason.STORE_UNREACHABLE
    return reasons


def _compared_with_today(
    tables: Tables,
    reasons: Reasons,
    found: Recomputed,
    served: Served,
    *,
    served_by: FeatureView,
    declared: FeatureView | None,
) -> Recomputed:
    """Mark in `reasons` what was right by the definition served with, and is other by today's; the values of both."""
    values, status = found.values.copy(), found.status.copy()
    today = {feature.name: feature for feature in declared.features} if declared else {}
    for place in np.flatnonzero(changed_features(served_by, declared)).tolist():
        right = reasons[:, place] == Reason.EQUAL
        feature = today.get(served_by.features[place].name)
        if declared is None or feature is None:
            reasons[right, place] = Reason.CODE_CHANGED
            continue
        new = recompute(tables, declared.with_features((feature,)), served.of([place]))
        differs = right & ~new.agrees[:, 0]
        reasons[differs, place] = Reason.CODE_CHANGED
        values[differs, place], status[differs, place] = new.values[differs, 0], new.status[differs, 0]
    return Recomputed(values=values, status=status, agrees=found.agrees)


def _meaning(feature: Feature) -> Feature:
    """The feature without what is only said of it."""
    return replace(feature, description="", owner="", expect=None, deprecated="")


def _base(view: FeatureView) -> tuple[object, ...]:
    """What all features of a view rest on."""
    source = view.source
    entities = tuple((entity.key, entity.dtype) for entity in view.entities)
    return entities, view.keys, source.name, source.event_time, source.available_at
