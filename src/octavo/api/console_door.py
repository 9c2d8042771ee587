"""The console over HTTP: sessions and their cookies, forms that only our own pages can send, static files."""

from dataclasses import replace
from datetime import timedelta
from hmac import compare_digest
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from octavo.access import Authority, redeem_login
from octavo.access.authority import TOKEN
from octavo.api.attachments import attachment
from octavo.api.bodies import read_body, to_request
from octavo.api.endpoints import PUBLIC, Endpoint
from octavo.api.oidc.door import OidcDoor
from octavo.api.oidc.provider import Provider
from octavo.console.pages import all_pages
from octavo.console.rendering import error_page, login_page, welcome_page
from octavo.console.sessions import Sessions, csrf_of
from octavo.console.visits import VISIT, Page, Reply, Visit
from octavo.definitions.types import seconds
from octavo.errors import (
    ConfigurationError,
    InvalidDefinition,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctavoError,
)
from octavo.operations import Context, Dispatcher, Principal
from octavo.problems import Problem

COOKIE, THEME_COOKIE = "octavo_session", "octavo_theme"
THEMES = ("auto", "light", "dark")
STATIC = {"console.css": "text/css", "icon.svg": "image/svg+xml"}
_MAX_FORM_BYTES = 20_000


class ConsoleDoor:
    """Everything of the console that is reached over HTTP.

    Parameters
    ----------
    secure : bool
        Whether browsers come by HTTPS (a proxy sees to it), so that the cookie is sent by nothing else.
    """

    def __init__(self, context: Context, dispatcher: Dispatcher, *, access: Authority, secure: bool) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._access = access
        self._secure = secure
        self._cookie = f"__Host-{COOKIE}" if secure else COOKIE
        settings = context.config.access
        self._sessions = Sessions(
            context.stores.metadata,
            access,
            idle=timedelta(seconds=_seconds(settings.session_idle, "session_idle")),
            lasts=timedelta(seconds=_seconds(settings.session_lasts, "session_lasts")),
        )

        oidc = context.config.oidc
        self._provider = urlsplit(oidc.issuer).hostname or ""
        self._oidc = (
            OidcDoor(context, Provider(oidc), secure=secure, welcome=self._welcome, refused=self._refused)
            if oidc.issuer
            else None
        )

    def endpoints(self) -> list[Endpoint]:
        """All pages, the way in and out, and what pages are made of."""
        own = [
            ("GET", "/login", self._login_form),
            ("POST", "/login", self._login),
            ("GET", "/static/{name}", self._static),
        ]
        public = [
            Endpoint(method=method, path=path, permission=PUBLIC, handle=handle, identify=self.identify)
            for method, path, handle in own
        ]
        session = [
            Endpoint(method="POST", path=path, permission=VISIT, handle=handle, identify=self.identify)
            for path, handle in (("/logout", self._logout), ("/theme", self._set_theme))
        ]
        provider = [] if self._oidc is None else self._oidc.endpoints(identify=self.identify)
        all_of_them = [*public, *provider, *session, *(self._page_endpoint(page) for page in all_pages())]
        return [replace(endpoint, is_page=True) for endpoint in all_of_them]

    def identify(self, request: Request) -> Principal:
        """Who visits, by the session's cookie; whoever has one may visit."""
        cookie = request.cookies.get(self._cookie)
        if cookie is None:
            raise NotAuthenticated("log in first")
        principal = self._sessions.principal(cookie)
        return replace(principal, permissions=principal.permissions | {VISIT})

    def problem(self, request: Request, problem: Problem) -> Response:
        """A problem as a page; without a session, the way to log in and back."""
        if problem.status == HTTPStatus.UNAUTHORIZED and request.method == "GET":
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(back, safe='')}", HTTPStatus.SEE_OTHER)
        html = error_page(
            status=problem.status,
            message=problem.detail,
            fix=problem.fix,
            request_id=problem.request_id,
            theme=_theme(request),
        )
        return HTMLResponse(html, problem.status)

    def _page_endpoint(self, page: Page) -> Endpoint:
        async def handle(request: Request) -> Response:
            form = await self._form(request) if page.method == "POST" else {}
            reply = await run_in_threadpool(page.show, self._visit(request, form))
            return _response(reply)

        return Endpoint(
            method=page.method,
            path=page.path,
            permission=page.permission,
            handle=handle,
            identify=self.identify,
        )

    def _visit(self, request: Request, form: dict[str, str]) -> Visit:
        principal: Principal = request.state.principal

        def call(name: str, /, **fields: Any) -> Any:
            operation = self._dispatcher.operations[name]
            return self._dispatcher.call(
                to_request(fields, operation.request), principal, trace=request.state.request_id
            )

        return Visit(
            call=call,
            principal=principal,
            path=request.url.path,
            now=self._context.clock.now(),
            project=self._context.project.name,
            replay=self._context.clock.is_replay,
            parameters=request.path_params,
            query=dict(request.query_params),
            form=form,
            csrf=csrf_of(request.cookies[self._cookie]),
            theme=_theme(request),
        )

    async def _form(self, request: Request, *, session: bool = True) -> dict[str, str]:
        if is_foreign(request):
            raise NotAllowed("this form was sent from another site")
        body = await read_body(request, max_bytes=_MAX_FORM_BYTES)
        try:
            form = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=50))
        except ValueError as error:
            raise InvalidRequest("the form cannot be read", fix="send it from the console's page") from error
        expected = csrf_of(request.cookies.get(self._cookie, ""))
        if session and not compare_digest(form.pop("csrf", "").encode(), expected.encode()):
            raise NotAllowed("this form belongs to a session that has ended; open the page again and repeat it")
        return form

    async def _login_form(self, request: Request) -> Response:
        code, back = request.query_params.get("token"), _local(request.query_params.get("next"))
        if code is None:
            return HTMLResponse(login_page(back=back, theme=_theme(request), provider=self._provider))
        try:
            token_id = redeem_login(self._context.config.home, code)
        except NotAuthenticated as error:
            return self._refused(request, back, error)
        return await self._welcome(request, back, f"{TOKEN}:{token_id}")

    async def _login(self, request: Request) -> Response:
        form = await self._form(request, session=False)
        back = _local(form.get("next"))
        try:
            holder = self._access.login(form.get("token", "").strip())
        except NotAuthenticated as error:
            return self._refused(request, back, error)
        return await self._welcome(request, back, holder)

    def _refused(self, request: Request, back: str, error: OctavoError) -> Response:
        html = login_page(back=_local(back), theme=_theme(request), problem=error.message, provider=self._provider)
        return HTMLResponse(html, HTTPStatus.UNAUTHORIZED)

    async def _welcome(self, request: Request, back: str, holder: str) -> Response:
        """Begin a session for somebody, and lead them to a page of ours."""
        # A page that goes on by itself, not a redirect: a browser that comes from a link elsewhere would not send a
        # SameSite=Strict cookie along with a redirect.
        response = HTMLResponse(welcome_page(back=_local(back), theme=_theme(request)))
        response.set_cookie(
            self._cookie,
            await run_in_threadpool(self._sessions.begin, holder),
            max_age=int(self._sessions.lasts.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return response

    async def _logout(self, request: Request) -> Response:
        await self._form(request)
        await run_in_threadpool(self._sessions.end, request.cookies[self._cookie])
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict", secure=self._secure)
        return response

    async def _set_theme(self, request: Request) -> Response:
        form = await self._form(request)
        theme = form.get("theme", "auto")
        response = RedirectResponse(_local(form.get("next")), HTTPStatus.SEE_OTHER)
        year_s = int(timedelta(days=365).total_seconds())
        if theme in THEMES:
            response.set_cookie(THEME_COOKIE, theme, max_age=year_s, httponly=True, samesite="strict")
        return response

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise NotFound("static file", name, STATIC)
        content = files("octavo.console").joinpath("static", name).read_bytes()
        return Response(content, media_type=STATIC[name], headers={"Cache-Control": "public, max-age=3600"})


def is_foreign(request: Request) -> bool:
    """Whether a browser says that a page of another site sent a request."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


def _seconds(text: str, setting: str) -> int:
    try:
        return seconds(text, what=setting)
    except InvalidDefinition as error:
        raise ConfigurationError(f"[access] {error.message}") from error


def _response(reply: Reply) -> Response:
    if reply.location is not None:
        return RedirectResponse(_local(reply.location), HTTPStatus.SEE_OTHER)
    if reply.download is not None:
        return attachment(reply.download.name, reply.download.data)
    return HTMLResponse(reply.html, reply.status)


def _theme(request: Request) -> str:
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return theme if theme in THEMES else "auto"


def _local(place: str | None) -> str:
    """A path on this site; the home page for anything else, so that no link can send a visitor away."""
    if place is None or not place.startswith("/") or place.startswith("//") or "\\" in place or not place.isprintable():
        return "/"
    return place
