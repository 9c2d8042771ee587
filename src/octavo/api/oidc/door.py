"""The two doors of a login by OpenID Connect: out to the provider, and back in."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from octavo.access.authority import ACCOUNT
from octavo.api.endpoints import PUBLIC, Endpoint, Identify
from octavo.api.oidc.pending import LASTS, PendingLogins
from octavo.api.oidc.provider import CALLBACK, Provider
from octavo.errors import NotAuthenticated, OctavoError
from octavo.governance.access.people import log_in
from octavo.operations import Context

log = logging.getLogger(__name__)

BEGIN = "/login/oidc"
_COOKIE = "octavo_login"
_MOST_CHARACTERS = 4_000

Welcome = Callable[[Request, str, str], Awaitable[Response]]
Refused = Callable[[Request, str, OctavoError], Response]


class OidcDoor:
    """Sends browsers to the provider, and lets in whom it vouches for.

    Parameters
    ----------
    secure : bool
        Whether browsers come by HTTPS.
    welcome : callable
        Begins a session of the console: takes the request, the page that was wanted, and the holder.
    refused : callable
        Shows the way in again: takes the request, the page that was wanted, and what went wrong.
    """

    def __init__(
        self, context: Context, provider: Provider, *, secure: bool, welcome: Welcome, refused: Refused
    ) -> None:
        self._context, self._provider = context, provider
        self._pending = PendingLogins(context.stores.metadata)
        self._secure = secure
        self._cookie = f"__Host-{_COOKIE}" if secure else _COOKIE
        self._welcome, self._refused = welcome, refused

    def endpoints(self, *, identify: Identify) -> list[Endpoint]:
        """Both doors; whoever has not logged in must be able to use them."""
        return [
            Endpoint(method="GET", path=path, permission=PUBLIC, handle=handle, identify=identify)
            for path, handle in ((BEGIN, self._begin), (CALLBACK, self._back))
        ]

    async def _begin(self, request: Request) -> Response:
        back = request.query_params.get("next", "/")[:_MOST_CHARACTERS]
        try:
            cookie, pending = await run_in_threadpool(self._pending.begin, back)
            address = await run_in_threadpool(
                self._provider.address, state=pending.state, nonce=pending.nonce, challenge=pending.challenge
            )
        except OctavoError as error:
            return self._not_let_in(request, back, error)
        response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            self._cookie,
            cookie,
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="lax",  # it must come along when the provider sends the browser back
            secure=self._secure,
        )
        return response

    async def _back(self, request: Request) -> Response:
        asked = request.query_params
        try:
            if len(request.url.query) > _MOST_CHARACTERS or len(asked.getlist("state")) != 1:
                raise NotAuthenticated("this is no answer of the provider's; begin again")
            pending = await run_in_threadpool(
                self._pending.take, request.cookies.get(self._cookie, ""), asked.get("state", "")
            )
        except OctavoError as error:
            return self._not_let_in(request, "/", error)
        try:
            # A provider that names itself must be ours: an answer of another's is not to be redeemed here (RFC 9207).
            if asked.get("iss", self._context.config.oidc.issuer) != self._context.config.oidc.issuer:
                raise NotAuthenticated("this is another provider's answer; begin again")
            if "code" not in asked or "error" in asked:
                raise NotAuthenticated("the provider did not let you in; begin again")
            claims = await run_in_threadpool(
                self._provider.redeem, asked["code"], verifier=pending.verifier, nonce=pending.nonce
            )
            account = await run_in_threadpool(log_in, self._context, claims, trace=request.state.request_id)
            response = await self._welcome(request, pending.back, f"{ACCOUNT}:{account.name}")
        except OctavoError as error:
            return self._not_let_in(request, pending.back, error)
        response.delete_cookie(self._cookie, httponly=True, samesite="lax", secure=self._secure)
        return response

    def _not_let_in(self, request: Request, back: str, error: OctavoError) -> Response:
        log.warning("a login was refused: %s", error.message, extra={"request_id": request.state.request_id})
        return self._refused(request, back, error)
