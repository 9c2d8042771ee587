"""One operation, many doors.

Each thing that a person or program can do is one function in its slice, declared by `operation` with its name, the
permission that it needs and what it is about. CLI, HTTP API, console and client all call it through one `Dispatcher`:

    authorize → transaction → run → audit event in the same transaction
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, NoReturn, TypeVar

from octavo.belonging import Belongs, is_listing, itself, may_see, things_of
from octavo.clock import Clock
from octavo.config import Config
from octavo.definitions.project import Project
from octavo.errors import NotAllowed, NotFound, OctavoError
from octavo.principals import SYSTEM as SYSTEM
from octavo.principals import Principal as Principal
from octavo.stores.commitments import Commitments
from octavo.stores.ports import AuditEvent, Stores, Transaction
from octavo.stores.redaction import Redaction

log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]


_MOST_NAMED = 200
"""Characters of one name in the audit trail: whoever is refused does not decide how long its events are."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an operation works with.

    Attributes
    ----------
    tx : Transaction or None
        The operation's own transaction; None in a long operation, which takes short ones by `transaction()`.
    progress : callable
        ``progress(fraction, message)`` tells whoever waits how far a long operation is; fraction in [0, 1].
    trace : str
        The id of the call; empty where there is none.
    operations : Operations
        What can be done at all.
    """

    config: Config
    clock: Clock
    stores: Stores
    project: Project
    principal: Principal
    tx: Transaction | None = None
    progress: Callable[[float, str], None] = field(default=lambda fraction, message: None)
    trace: str = ""
    operations: "Operations" = field(default_factory=lambda: Operations())
    _after: list[Callable[["Context"], None]] = field(default_factory=list)
    _begun: list[AuditEvent] = field(default_factory=list)

    @property
    def transacted(self) -> Transaction:
        """The operation's own transaction."""
        if self.tx is None:
            raise RuntimeError("a long operation has no transaction of its own; take one with context.transaction()")
        return self.tx

    def audit(self, tx: Transaction, operation: str, *, target: str) -> None:
        """Record what a process has done of its own accord, in the transaction that does it."""
        event = AuditEvent(
            at=self.clock.now(),
            actor=self.principal.name,
            operation=operation,
            target=target,
            outcome="done",
            subject=self.principal.subject,
            trace=self.trace,
        )
        tx.append_audit(event)

    def afterwards(self, do: Callable[["Context"], None]) -> None:
        """Have something done once the operation's transaction is committed, and not if it is not."""
        self._after.append(do)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """The operation's own transaction where it has one, else a new short one.

        With the first short one of a long operation it is recorded that the operation has begun: a process that dies
        before its end leaves no change that the audit trail does not know of.
        """
        if self.tx is not None:
            yield self.tx
            return
        begun = tuple(self._begun)
        with self.stores.metadata.transaction() as tx:
            for event in begun:
                tx.append_audit(event)
            yield tx
        del self._begun[: len(begun)]


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
    """The operations of one slice or of the whole product, by name.

    Parameters
    ----------
    *modules : str
        Modules whose ``operations`` are among these. Each is imported when it is needed, because a command asks for one
        operation, and what all of them import takes seconds.

    Attributes
    ----------
    belongings : mapping of str to Belongs
        By the fields in which requests name things, how these belong to models and deployments.
    """

    def __init__(self, *modules: str) -> None:
        self._by_name: dict[str, Operation] = {}
        self._by_request: dict[type, Operation] = {}
        self._not_loaded = list(modules)
        self._loading = threading.RLock()
        self.belongings: Mapping[str, Belongs] = {"model": itself("model"), "deployment": itself("deployment")}

    def operation(
        self, name: str, *, request: type[Q], permission: str, changes: bool = False, long: bool = False
    ) -> Callable[[Callable[[Q, Context], A]], Callable[[Q, Context], A]]:
        """Declare a function as an operation; the first line of its docstring is its summary."""

        def declare(function: Callable[[Q, Context], A]) -> Callable[[Q, Context], A]:
            summary = (function.__doc__ or "").strip().partition("\n")[0]
            self._add(
                Operation(
                    name=name,
                    permission=permission,
                    request=request,
                    function=function,
                    summary=summary,
                    changes=changes,
                    long=long,
                )
            )
            return function

        return declare

    def include(self, other: "Operations") -> None:
        """Add the operations of a slice."""
        for operation in other:
            self._add(operation)

    def of(self, request: type) -> Operation:
        """The operation that takes requests of a type: it stands in the module of the type, or in one of its slice."""
        if request not in self._by_request:
            own_slice = request.__module__.split(".")[:2]
            near = [module for module in self._not_loaded if module.split(".")[:2] == own_slice]
            for module in sorted(near, key=lambda module: module != request.__module__):
                self._load(module)
                if request in self._by_request:
                    break
        return self._by_request[request]

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._all().values())

    def __getitem__(self, name: str) -> Operation:
        named = self._all()
        if name not in named:
            raise NotFound("operation", name, named)
        return named[name]

    def _all(self) -> Mapping[str, Operation]:
        for module in tuple(self._not_loaded):
            self._load(module)
        return self._by_name

    def _load(self, module: str) -> None:
        with self._loading:
            if module in self._not_loaded:  # else another thread has done so meanwhile
                self.include(import_module(module).operations)
                self._not_loaded.remove(module)

    def _add(self, operation: Operation) -> None:
        if operation.name in self._by_name:
            raise ValueError(f"two operations are named {operation.name}")
        self._by_name[operation.name] = self._by_request[operation.request] = operation


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
        self._commitments = Commitments(context.config.home / "keys" / "audit.key")

    def call(
        self,
        request: object,
        principal: Principal,
        *,
        progress: Progress = lambda fraction, message: None,
        trace: str = "",
    ) -> Any:
        """Run the operation that takes `request`.

        Parameters
        ----------
        trace : str
            The id of the call, for the audit trail.

        Raises
        ------
        NotAllowed
            If the principal lacks the operation's permission; the attempt is audited.
        OctavoError
            Whatever the operation raises; a change that failed is audited too.
        """
        operation = self.operations.of(type(request))
        if principal.may(operation.permission):
            return self._run(operation, request, principal, progress=progress, trace=trace)
        return self._run_limited(operation, request, principal, progress=progress, trace=trace)

    def deny(self, operation: Operation, request: object | None, principal: Principal, *, trace: str = "") -> NoReturn:
        """Refuse a caller who may not, and record that.

        Raises
        ------
        NotAllowed
        """
        self._audit_alone(operation, request, principal, outcome="denied", trace=trace)
        about = sorted({f"the {limited.about} {limited.name}" for limited in principal.limited})
        raise NotAllowed(
            f"{principal.name} may not {operation.summary[:1].lower()}{operation.summary[1:].rstrip('.')}: "
            f"it needs the permission {operation.permission!r}"
            + (f", and all rights of {principal.subject} are about {', '.join(about)}" if about else ""),
            permission=operation.permission,
        )

    def deny_call(self, name: str, permission: str, principal: Principal, *, trace: str = "") -> NoReturn:
        """As `deny`, for a call that is several operations together, or none.

        Raises
        ------
        NotAllowed
        """
        event = AuditEvent(
            at=self.context.clock.now(),
            actor=principal.name,
            operation=name,
            target="",
            outcome="denied",
            subject=principal.subject,
            trace=trace,
        )
        with self.context.stores.metadata.transaction() as tx:
            tx.append_audit(event)
        raise NotAllowed(f"{principal.name} lacks the permission {permission!r}", permission=permission)

    def _run_limited(
        self, operation: Operation, request: object, principal: Principal, *, progress: Progress, trace: str
    ) -> Any:
        """Run an operation for a caller who may not do so everywhere, if all that the request names is theirs.

        Of a listing that names nothing they get what is theirs.
        """
        permission = operation.permission
        if not principal.may_somewhere(permission):
            self.deny(operation, request, principal, trace=trace)
        things = things_of(request, self.operations.belongings, self._context(principal, None, progress, trace))
        if any(thing is None or not principal.may(permission, about=thing) for thing in things):
            self.deny(operation, request, principal, trace=trace)
        if not things and (operation.changes or not is_listing(operation.function)):
            self.deny(operation, request, principal, trace=trace)
        answer = self._run(operation, request, principal, progress=progress, trace=trace)
        return answer if things else tuple(item for item in answer if may_see(item, principal, permission))

    def _run(
        self, operation: Operation, request: object, principal: Principal, *, progress: Progress, trace: str
    ) -> Any:
        context = self._context(principal, None, progress, trace)
        try:
            if operation.long:
                if operation.changes:
                    context._begun.append(self._event(operation, request, principal, outcome="begun", trace=trace))
                answer = operation.function(request, context)
                self._audit_alone(operation, request, principal, outcome="done", trace=trace)
            else:
                with self.context.stores.metadata.transaction() as tx:
                    answer = operation.function(request, replace(context, tx=tx))
                    if operation.changes:
                        tx.append_audit(self._event(operation, request, principal, outcome="done", trace=trace))
        except OctavoError as error:
            self._audit_alone(operation, request, principal, outcome=f"refused: {error.code}", trace=trace)
            raise
        except Exception:  # what nobody foresaw changed nothing, but was tried
            self._audit_alone(operation, request, principal, outcome="failed", trace=trace)
            raise
        for do in context._after:
            do(context)
        return answer

    def _context(self, principal: Principal, tx: Transaction | None, progress: Progress, trace: str) -> Context:
        c = self.context
        return Context(
            config=c.config,
            clock=c.clock,
            stores=c.stores,
            project=c.project,
            principal=principal,
            tx=tx,
            progress=progress,
            trace=trace,
            operations=self.operations,
        )

    def _audit_alone(
        self, operation: Operation, request: object | None, principal: Principal, *, outcome: str, trace: str
    ) -> None:
        if operation.changes or outcome == "denied":
            with self.context.stores.metadata.transaction() as tx:
                tx.append_audit(self._event(operation, request, principal, outcome=outcome, trace=trace))

    def _event(
        self, operation: Operation, request: object | None, principal: Principal, *, outcome: str, trace: str
    ) -> AuditEvent:
        return AuditEvent(
            at=self.context.clock.now(),
            actor=principal.name,
            operation=operation.name,
            target=Redaction.of(self.context.config).text(_target(request)),
            outcome=outcome,
            subject=principal.subject,
            request="" if request is None else self._commitments.of(operation.name, request),
            trace=trace,
        )


def _target(request: object | None) -> str:
    """What a request is about: its identifying fields, as far as a name may go, never its payload."""
    naming = (
        *("deployment", "model", "alias", "version", "source", "name", "incident", "release", "run", "dataset"),
        *("account", "role", "key"),
    )
    return " ".join(f"{n}={getattr(request, n)}"[:_MOST_NAMED] for n in naming if getattr(request, n, None) is not None)
