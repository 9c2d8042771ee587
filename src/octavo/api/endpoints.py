"""Endpoints: a path, a method, the permission that it needs and what answers. Nothing is served without the third."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

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
        Whether the dispatcher checks the permission (and audits a denial) itself, as it does for every operation.
    identify : callable
        Finds out who calls, by token or session; raises `NotAuthenticated`.
    """

    method: str
    path: str
    permission: str
    handle: Handle
    identify: Identify
    dispatched: bool = False

    def __post_init__(self) -> None:
        if not self.permission:
            raise ConfigurationError(f"{self.method} {self.path} declares no permission, so it cannot be served")

    def route(self) -> Route:
        """The route that checks the caller before it answers."""
        return _GuardedRoute(self)

    async def _answer(self, request: Request) -> Response:
        request.state.route = self.path
        if self.permission != PUBLIC:
            principal = self.identify(request)
            if not self.dispatched and not principal.may(self.permission):
                raise NotAllowed(
                    f"{principal.name} lacks the permission {self.permission!r}", permission=self.permission
                )
            request.state.principal = principal
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
