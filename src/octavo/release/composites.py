"""Composites in the records, and as predictors apply them: numbered versions of a graph, of which one is live.

A version is a graph with the code of its functions. `apply` makes a new one where the declaration or that code differs
from the newest one, and puts it live; the one before it stays, one step back. The deployments of its nodes go their own
way: their releases need no new version of the composite.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

import msgspec

from octavo.definitions.composites import Composite
from octavo.definitions.deployments import Deployment
from octavo.definitions.features import OnDemand
from octavo.definitions.plans import PlannedField, PlannedFunction
from octavo.errors import Conflict, NotFound
from octavo.operations import Context
from octavo.registry.bundles import digest_of
from octavo.release.documents import publish, published_number
from octavo.stores.ports import Transaction

PURPOSE = "octavo/composite-manifest/v1"
FOLDER = "composites/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node as it travels.

    Attributes
    ----------
    deployment : str
        Empty for a function.
    function, when : PlannedFunction or None
        Found by name in the code that travels along.
    """

    name: str
    deployment: str = ""
    function: PlannedFunction | None = None
    when: PlannedFunction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositePlan:
    """A graph, and the code of its functions.

    Attributes
    ----------
    fields : tuple of PlannedField
        What functions take of the request and no model does.
    code : dict of file name to digest
        The project's modules, among the artifacts; empty where there is no function.
    """

    nodes: tuple[PlannedNode, ...]
    fields: tuple[PlannedField, ...]
    code: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeVersion:
    """A version of a composite, kept for good.

    Attributes
    ----------
    digest : str
        Of its plan.
    """

    kind: ClassVar[str] = "composite_version"

    composite: str
    version: int
    plan: CompositePlan
    digest: str
    applied_at: datetime
    applied_by: str

    @property
    def key(self) -> str:
        return f"{self.composite}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeState:
    """What a composite serves now.

    Attributes
    ----------
    previous : int or None
        The version that was live before, to which a rollback returns.
    newest : int
        The number of the newest version.
    sequence : int
        Of the manifest that follows from this.
    """

    kind: ClassVar[str] = "composite"

    composite: str
    live: int
    previous: int | None
    newest: int
    sequence: int

    @property
    def key(self) -> str:
        return self.composite


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeManifest:
    """What predictors verify and apply.

    Attributes
    ----------
    sequence : int
        Rises with every manifest of the composite; a predictor never goes back to a lower one.
    digest : str
        Of the plan.
    """

    project: str
    composite: str
    sequence: int
    version: int
    digest: str
    plan: CompositePlan
    published_at_us: int


def declare(context: Context, composite: Composite) -> None:
    """Put a declaration live, unless the newest version is the same, be it that it was rolled back."""
    tx = context.transacted
    plan = _plan(composite, context)
    digest = digest_of(msgspec.json.encode(plan, order="deterministic"))
    state = tx.get(CompositeState, composite.name)
    if state is not None and _version(tx, composite.name, state.newest).digest == digest:
        return
    number = 1 if state is None else state.newest + 1
    tx.add(
        CompositeVersion(
            composite=composite.name,
            version=number,
            plan=plan,
            digest=digest,
            applied_at=context.clock.now(),
            applied_by=context.principal.name,
        )
    )
    tx.put(
        CompositeState(
            composite=composite.name,
            live=number,
            previous=state.live if state else None,
            newest=number,
            sequence=state.sequence + 1 if state else 1,
        )
    )


def roll_back(context: Context, composite: str) -> CompositeState:
    """Return to the version before the live one.

    Raises
    ------
    NotFound
    Conflict
        If there was none.
    """
    with context.transaction() as tx:
        state = composite_state(tx, composite)
        if state.previous is None:
            raise Conflict(
                f"composite {composite!r} has had no version before {state.live}; there is none to return to"
            )
        back = replace(state, live=state.previous, previous=state.live, sequence=state.sequence + 1)
        tx.replace(state, back)
    return back


def composite_state(tx: Transaction, composite: str) -> CompositeState:
    """What a composite serves.

    Raises
    ------
    NotFound
        If no such composite has been applied.
    """
    state = tx.get(CompositeState, composite)
    if state is None:
        raise NotFound("composite", composite, [one.composite for one in tx.find(CompositeState)])
    return state


def live_version(tx: Transaction, state: CompositeState) -> CompositeVersion:
    """The version that a composite serves."""
    return _version(tx, state.composite, state.live)


def publish_composite(context: Context, composite: str) -> int:
    """Publish what the records say of a composite, unless it is published already; the sequence that now is."""
    name = f"{FOLDER}{composite}.json"
    with context.transaction() as tx:
        # Inside the transaction, so that of two processes that publish the later state wins.
        state = composite_state(tx, composite)
        if state.sequence > published_number(context.stores.artifacts, name):
            version = live_version(tx, state)
            manifest = CompositeManifest(
                project=context.project.name,
                composite=composite,
                sequence=state.sequence,
                version=version.version,
                digest=version.digest,
                plan=version.plan,
                published_at_us=context.clock.now_us(),
            )
            publish(context, manifest, name=name, purpose=PURPOSE)
    return state.sequence


def _version(tx: Transaction, composite: str, number: int) -> CompositeVersion:
    found = tx.get(CompositeVersion, f"{composite}/{number}")
    assert found is not None, "a state names a version that is there"
    return found


def _plan(composite: Composite, context: Context) -> CompositePlan:
    has_functions = any(node.functions for node in composite.nodes)
    code = context.project.code if has_functions else {}
    return CompositePlan(
        nodes=tuple(
            PlannedNode(
                name=node.name,
                deployment=node.part.name if isinstance(node.part, Deployment) else "",
                function=_planned(node.part) if isinstance(node.part, OnDemand) else None,
                when=_planned(node.when) if node.when else None,
            )
            for node in composite.nodes
        ),
        fields=tuple(
            PlannedField(name=f.name, dtype=f.dtype, required=f.required, default=f.default) for f in composite.fields
        ),
        code={name: context.stores.artifacts.put(text.encode()) for name, text in code.items()},
    )


def _planned(function: OnDemand) -> PlannedFunction:
    return PlannedFunction(name=function.name, inputs=function.inputs, default=function.default)
