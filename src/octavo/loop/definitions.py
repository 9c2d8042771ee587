"""Putting a project's definitions into force: `plan` says what would change, `apply` does it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from octavo.definitions.changes import Change, ChangeKind, changes
from octavo.definitions.warnings import warnings_of
from octavo.features.events.derived_checks import check_derived
from octavo.features.events.evolution import check_tables, fit_tables
from octavo.features.online.rebuilds import with_rebuilds
from octavo.operations import Context, Operations
from octavo.release import composites
from octavo.release.lifecycle import declare

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedDefinition:
    """A definition in force.

    Attributes
    ----------
    name : str
        Its kind and name: ``view/origin_delays``.
    document : str
        Canonical JSON.
    """

    kind: ClassVar[str] = "definition"

    name: str
    document: str
    applied_at: datetime
    applied_by: str

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedProject:
    """Which code is in force; running processes load it anew when it changes."""

    kind: ClassVar[str] = "project"

    name: str
    code: str
    applied_at: datetime

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProject:
    """Ask what `apply` would change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyProject:
    """Put the project's definitions into force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What differs between the project's module and what is in force.

    Attributes
    ----------
    warnings : tuple of str
        What a model takes that is deprecated, or may tell it what it should predict.
    """

    project: str
    changes: tuple[Change, ...]
    unchanged: int
    warnings: tuple[str, ...] = ()


@operations.operation("project.plan", request=PlanProject, permission="definitions:read")
def plan(request: PlanProject, context: Context) -> Plan:
    """Say what applying the project would change, and whom that affects."""
    check_derived(context.project, context.stores.tables)
    check_tables(context.project, context.stores.tables)
    in_force = {d.name: d.document.encode() for d in context.transacted.find(AppliedDefinition)}
    in_force = {name: text for name, text in in_force.items() if text}
    found = tuple(
        with_rebuilds(change, before=in_force, project=context.project) for change in changes(in_force, context.project)
    )
    unchanged = len(context.project.documents()) - sum(c.kind is not ChangeKind.REMOVED for c in found)
    return Plan(project=context.project.name, changes=found, unchanged=unchanged, warnings=warnings_of(context.project))


@operations.operation("project.apply", request=ApplyProject, permission="definitions:write", changes=True)
def apply(request: ApplyProject, context: Context) -> Plan:
    """Put the project's definitions into force."""
    planned = plan(PlanProject(), context)
    fit_tables(context.project, context.stores.tables)
    documents, now = context.project.documents(), context.clock.now()
    for change in planned.changes:
        context.transacted.put(
            AppliedDefinition(
                name=change.definition,
                document=documents.get(change.definition, b"").decode(),
                applied_at=now,
                applied_by=context.principal.name,
            )
        )
    for deployment in context.project.deployments.values():
        declare(context, deployment)
    for composite in context.project.composites.values():
        composites.declare(context, composite)
    code = hashlib.sha256("\0".join(context.project.code.values()).encode()).hexdigest()
    context.transacted.put(AppliedProject(name=context.project.name, code=code, applied_at=now))
    return planned
