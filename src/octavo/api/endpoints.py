"""Endpoints: a path, a method, the permission that it needs and what answers. Nothing is served without the third."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from octavo.errors import ConfigurationError, NotAllowed
from octavo.operations import Principal

PUBLIC = "public"
"""The permission that needs no caller: liveness, and the way to log in."""

Handle = Callable[[Request], Awaitable[Response]]
Identify = Callable[[Request], Principal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One thing that can be reached over HTTP.

    Attributes
    ----------
    permission : str
        What the caller must hold, or `PUBLIC`.
    dispatched : bool
        Whether the dispatcher checks the permission again, once it is known about what, as it does for every operation.
        Whoever lacks it altogether is refused before anything that they sent is looked at.
    identify : callable
        Finds out who calls, by token or session; raises `NotAuthenticated`.
    is_page : bool
        Whether people come to it with a session, which takes a look into a database, and not programs with a token. For
        a page a right to some models or deployments suffices: the operations that it calls check about which.
    deny : callable or None
        Refuses a caller without the permission, and records that or says it in its own way; raises `NotAllowed`, or
        answers.
    """

    method: str
    path: str
    permission: str
    handle: Handle
    identify: Identify
    dispatched: bool = False
    is_page: bool = False
    deny: Handle | None = None

    def __post_init__(self) -> None:
        if not self.permission:
            raise ConfigurationError(f"{self.method} {self.path} declares no permission, so it cannot be served")

    def route(self) -> Route:
        """The route that checks the caller before it answers."""
        return _GuardedRoute(self)

    async def _answer(self, request: Request) -> Response:
        request.state.route = self.path
        if self.permission != PUBLIC:
            if self.is_page:
                principal = await run_in_threadpool(self.identify, request)
            else:
                principal = self.identify(request)
            request.state.principal = principal
            may = principal.may_somewhere if self.dispatched or self.is_page else principal.may
            if not may(self.permission):
                if self.deny is not None:
                    return await self.deny(request)
                raise NotAllowed(
                    f"{principal.name} lacks the permission {self.permission!r}", permission=self.permission
                )
        return await self.handle(request)


class _GuardedRoute(Route):
    """A route made from an endpoint, so that no other kind can slip in."""

    def __init__(self, endpoint: Endpoint) -> None:
        async def answer(request: Request) -> Response:
            return await endpoint._answer(request)

        super().__init__(endpoint.path, answer, methods=[endpoint.method])
        self.declared = endpoint


def check_routes(routes: Sequence[BaseRoute]) -> None:
    """Refuse to start with a route that no endpoint declared.

    Raises
    ------
    ConfigurationError
        Naming the route.
    """
    for route in routes:
        if not isinstance(route, _GuardedRoute):
            raise ConfigurationError(f"{route!r} declares no permission, so it cannot be served")
