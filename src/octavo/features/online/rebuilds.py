"""Which feature views must be built again from their events because a definition changed."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from octavo.definitions.changes import Change, ChangeKind
from octavo.definitions.consequences import means_the_same
from octavo.definitions.features import Feature, FeatureView
from octavo.definitions.project import Project
from octavo.features.online.layout import layout_of


def with_rebuilds(change: Change, *, before: Mapping[str, bytes], project: Project) -> Change:
    """A change with the feature views whose online states no longer fit; a removed definition asks for none.

    Parameters
    ----------
    before : mapping of ``kind/name`` to canonical JSON
        The definitions in force.
    """
    kind, _, name = change.definition.partition("/")
    if change.kind is ChangeKind.ADDED and kind == "view":
        return replace(change, materialize=(name,))
    if change.kind is not ChangeKind.CHANGED:
        return change
    was, now = (
        msgspec.json.decode(text) for text in (before[change.definition], project.documents()[change.definition])
    )
    if kind == "view":
        kept = _is_kept_the_same(was, now, project.view(name))
        return change if kept else replace(change, materialize=(name,))
    if kind in ("source", "entity") and not means_the_same(kind, was, now):
        views = (one.partition("/") for one in change.affects)
        return replace(change, materialize=tuple(one for of, _, one in views if of == "view"))
    return change


def _is_kept_the_same(before: Mapping[str, object], after: Mapping[str, object], view: FeatureView) -> bool:
    """Whether a view's states hold the numbers that it needs now; names, ranks, defaults and ages do not matter."""
    of_events = before.keys() - {"name", "features", "description", "owner"}
    if any(before.get(field) != after.get(field) for field in of_events):
        return False
    try:
        features = msgspec.convert(before["features"], tuple[Feature, ...])
    except msgspec.ValidationError:
        return False
    return layout_of(features) == layout_of(view.features)
