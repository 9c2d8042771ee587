"""One operation, many doors.

Each thing that a person or program can do is one function in its slice, declared by `operation` with its name, the
permission that it needs and what it is about. CLI, HTTP API, console and client all call it through one `Dispatcher`:

    authorize → transaction → run → audit event in the same transaction
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from octavo.clock import Clock
from octavo.config import Config
from octavo.definitions.project import Project
from octavo.errors import NotAllowed, NotFound, OctavoError
from octavo.stores.ports import AuditEvent, Stores, Transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling.

    Attributes
    ----------
    name : str
        As it stands in the audit trail: ``user:ada``, ``token:1f3a``, ``worker``.
    permissions : frozenset of str
        Such as ``models:read``; ``*`` is all.
    """

    name: str
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        return "*" in self.permissions or permission in self.permissions


SYSTEM = Principal(name="system", permissions=frozenset({"*"}))


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an operation works with.

    Attributes
    ----------
    tx : Transaction or None
        The operation's own transaction; None in a long operation, which takes short ones by `transaction()`.
    progress : callable
        ``progress(fraction, message)`` tells whoever waits how far a long operation is; fraction in [0, 1].
    """

    config: Config
    clock: Clock
    stores: Stores
    project: Project
    principal: Principal
    tx: Transaction | None = None
    progress: Callable[[float, str], None] = field(default=lambda fraction, message: None)

    @property
    def transacted(self) -> Transaction:
        """The operation's own transaction."""
        if self.tx is None:
            raise RuntimeError("a long operation has no transaction of its own; take one with context.transaction()")
        return self.tx

    def audit(self, tx: Transaction, operation: str, *, target: str) -> None:
        """Record what a process has done of its own accord, in the transaction that does it."""
        event = AuditEvent(
            at=self.clock.now(), actor=self.principal.name, operation=operation, target=target, outcome="done"
        )
        tx.append_audit(event)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """The operation's own transaction where it has one, else a new short one."""
        if self.tx is not None:
            yield self.tx
        else:
            with self.stores.metadata.transaction() as tx:
                yield tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A thing that can be done, and what the doors need to know of it.

    Attributes
    ----------
    changes : bool
        Whether it changes anything; reads are not audited.
    long : bool
        Whether it runs without a transaction around it, because it takes seconds or more.
    """

    name: str
    permission: str
    request: type
    function: Callable[[Any, Context], Any]
    summary: str
    changes: bool
    long: bool


Q = TypeVar("Q")
A = TypeVar("A")


class Operations:
    """The operations of one slice or of the whole product, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Operation] = {}

    def operation(
        self, name: str, *, request: type[Q], permission: str, changes: bool = False, long: bool = False
    ) -> Callable[[Callable[[Q, Context], A]], Callable[[Q, Context], A]]:
        """Declare a function as an operation; the first line of its docstring is its summary."""

        def declare(function: Callable[[Q, Context], A]) -> Callable[[Q, Context], A]:
            if name in self._by_name:
                raise ValueError(f"two operations are named {name}")
            summary = (function.__doc__ or "").strip().partition("\n")[0]
            self._by_name[name] = Operation(
                name=name,
                permission=permission,
                request=request,
                function=function,
                summary=summary,
                changes=changes,
                long=long,
            )
            return function

        return declare

    def include(self, other: "Operations") -> None:
        """Add the operations of a slice."""
        for operation in other:
            if operation.name in self._by_name:
                raise ValueError(f"two operations are named {operation.name}")
            self._by_name[operation.name] = operation

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Operation:
        if name not in self._by_name:
            raise NotFound("operation", name, self._by_name)
        return self._by_name[name]


class Dispatcher:
    """The one way in: authorizes, opens the transaction, runs, and records.

    Parameters
    ----------
    operations : Operations
    context : Context
        Of the process; each call gets it with its own principal and transaction.
    """

    def __init__(self, operations: Operations, context: Context) -> None:
        self.operations = operations
        self.context = context
        self._by_request: Mapping[type, Operation] = {o.request: o for o in operations}

    def call(
        self,
        request: object,
        principal: Principal,
        *,
        progress: Callable[[float, str], None] = lambda fraction, message: None,
    ) -> Any:
        """Run the operation that takes `request`.

        Raises
        ------
        NotAllowed
            If the principal lacks the operation's permission; the attempt is audited.
        OctavoError
            Whatever the operation raises; a change that failed is audited too.
        """
        operation = self._by_request[type(request)]
        if not principal.may(operation.permission):
            self._audit_alone(operation, request, principal, outcome="denied")
            raise NotAllowed(
                f"{principal.name} may not {operation.summary[:1].lower()}{operation.summary[1:].rstrip('.')}: "
                f"it needs the permission {operation.permission!r}",
                permission=operation.permission,
            )
        try:
            if operation.long:
                answer = operation.function(request, self._context(principal, None, progress))
                self._audit_alone(operation, request, principal, outcome="done")
                return answer
            with self.context.stores.metadata.transaction() as tx:
                answer = operation.function(request, self._context(principal, tx, progress))
                if operation.changes:
                    tx.append_audit(self._event(operation, request, principal, outcome="done"))
                return answer
        except OctavoError as error:
            self._audit_alone(operation, request, principal, outcome=f"refused: {error.code}")
            raise

    def _context(self, principal: Principal, tx: Transaction | None, progress: Callable[[float, str], None]) -> Context:
        c = self.context
        return Context(
            config=c.config,
            clock=c.clock,
            stores=c.stores,
            project=c.project,
            principal=principal,
            tx=tx,
            progress=progress,
        )

    def _audit_alone(self, operation: Operation, request: object, principal: Principal, *, outcome: str) -> None:
        if operation.changes or outcome == "denied":
            with self.context.stores.metadata.transaction() as tx:
                tx.append_audit(self._event(operation, request, principal, outcome=outcome))

    def _event(self, operation: Operation, request: object, principal: Principal, *, outcome: str) -> AuditEvent:
        return AuditEvent(
            at=self.context.clock.now(),
            actor=principal.name,
            operation=operation.name,
            target=_target(request),
            outcome=outcome,
        )


def _target(request: object) -> str:
    """What a request is about: its identifying fields, never its payload."""
    naming = ("deployment", "model", "alias", "version", "source", "name", "incident", "release", "run", "dataset")
    return " ".join(f"{n}={getattr(request, n)}" for n in naming if getattr(request, n, None) is not None)
