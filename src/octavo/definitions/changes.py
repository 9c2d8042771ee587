"""What differs between two states of a project's definitions, and whom that affects."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from octavo.definitions.consequences import means_the_same
from octavo.definitions.project import Project


class ChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One definition that differs.

    Attributes
    ----------
    definition : str
        Its kind and name: ``view/origin_delays``.
    fields : tuple of str
        What changed in it; empty if it was added or removed.
    affects : tuple of str
        Definitions that rest on it, directly or not, in the order of the loop.
    materialize : tuple of str
        Feature views whose online states it makes unfit, so that they are built again.
    retrain : tuple of str
        Models whose versions learned from something else than is declared now.
    """

    kind: ChangeKind
    definition: str
    fields: tuple[str, ...] = ()
    affects: tuple[str, ...] = ()
    materialize: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()


def changes(before: Mapping[str, bytes], project: Project) -> tuple[Change, ...]:
    """Compare recorded definitions with a project's.

    Parameters
    ----------
    before : mapping of ``kind/name`` to canonical JSON
        As `Project.documents` gives it.
    """
    after = project.documents()
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(Change(kind=ChangeKind.ADDED, definition=name))
        elif new is None:
            found.append(Change(kind=ChangeKind.REMOVED, definition=name, affects=dependants(project, name)))
        elif old != new:
            found.append(
                Change(
                    kind=ChangeKind.CHANGED,
                    definition=name,
                    fields=_changed_fields(old, new),
                    affects=dependants(project, name),
                    retrain=_retrained(project, name, old, new),
                )
            )
    return tuple(found)


def dependants(project: Project, definition: str) -> tuple[str, ...]:
    """Definitions that rest on another: views on sources, models on views, deployments on models, then composites."""
    kind, _, name = definition.partition("/")
    views = [
        v
        for v in project.views.values()
        if (kind, name) in {("source", v.source.name), *(("entity", entity.name) for entity in v.entities)}
    ]
    touched_views = {v.name for v in views} | ({name} if kind == "view" else set())
    models = [
        m
        for m in project.models.values()
        if (kind, name) == ("source", m.label.source.name) or touched_views & {v.name for v in m.views}
    ]
    touched_models = {m.name for m in models} | ({name} if kind == "model" else set())
    deployments = [d for d in project.deployments.values() if d.model.name in touched_models]
    touched_deployments = {d.name for d in deployments} | ({name} if kind == "deployment" else set())
    composites = [
        c
        for c in project.composites.values()
        if touched_deployments & {deployment.name for deployment in c.deployments}
    ]
    return (
        *(f"view/{v.name}" for v in views),
        *(f"model/{m.name}" for m in models),
        *(f"deployment/{d.name}" for d in deployments),
        *(f"composite/{c.name}" for c in composites),
    )


def _retrained(project: Project, definition: str, old: bytes, new: bytes) -> tuple[str, ...]:
    kind, _, name = definition.partition("/")
    was, now = (msgspec.json.decode(text, type=dict[str, object]) for text in (old, new))
    if means_the_same(kind, was, now):
        return ()
    models = (one.partition("/") for one in dependants(project, definition))
    return (name,) if kind == "model" else tuple(model for of, _, model in models if of == "model")


def _changed_fields(old: bytes, new: bytes) -> tuple[str, ...]:
    was, now = msgspec.json.decode(old, type=dict[str, object]), msgspec.json.decode(new, type=dict[str, object])
    return tuple(sorted(field for field in was.keys() | now.keys() if was.get(field) != now.get(field)))
