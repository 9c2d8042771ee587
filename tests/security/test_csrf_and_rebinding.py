"""No page of another site gets anything done, by whichever method, and no other name leads to this process."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from octavo.access import ensure_admin, issue_login
from octavo.api.app import declared_endpoints
from octavo.console.pages import all_pages
from octavo.operations import Dispatcher
from octavo.wiring import all_operations
from tests.integration.console.test_browser import ARGUMENTS, serving, sync_api
from tests.security.sites import Raw, mark_of
from tests.servers import program
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import BROWSER, Door, browser

FORMS = [page.path for page in all_pages() if page.method == "POST"]
OTHERS: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:1"},
    {"origin": "http://evil.example#localhost"},
]


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    room = empty_showroom(tmp_path)
    ensure_admin(room.context.config.home)
    return room


def address(path: str) -> str:
    return path.replace("{", "").replace("}", "")


def changes(room: Showroom) -> int:
    with room.stores.metadata.transaction() as tx:
        return sum(event.outcome == "done" for event in tx.audit(limit=10_000))


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_no_form_is_taken_from_another_site(room: Showroom, headers: dict[str, str]) -> None:
    door = browser(room)
    mark, cookie = mark_of(door), f"octavo_session={door.cookies['octavo_session']}"
    foreign, before = Door(room, headers={"accept": "text/html", "cookie": cookie, **headers}), changes(room)
    for path in [*FORMS, "/theme", "/logout"]:
        answer = foreign.post(address(path), data={"csrf": mark, "account": "mallory", "kind": "person"})
        assert answer.status_code == 403, path
    assert foreign.post("/login", data={"token": "x"}).status_code == 403  # nor is anybody logged in as another
    assert changes(room) == before
    assert door.get("/models").status_code == 200


def test_no_form_is_taken_without_the_mark_of_its_session(room: Showroom) -> None:
    door, other = browser(room), browser(room)
    before = changes(room)
    for path in FORMS:
        for mark in ("", "0" * 64, mark_of(other)):
            assert door.post(address(path), data={"csrf": mark}).status_code == 403, path
    assert changes(room) == before


def test_a_session_opens_pages_only(room: Showroom) -> None:
    """What programs call takes a token, which no browser adds by itself, so no site can have it called."""
    door = browser(room)
    endpoints = declared_endpoints(room.context, Dispatcher(all_operations(), room.context))
    tried = 0
    for endpoint in endpoints:
        if not endpoint.is_page and endpoint.permission != "public":
            answer = door.request(endpoint.method, address(endpoint.path), headers={"sec-fetch-site": "none"})
            assert answer.status_code in (401, 303), endpoint.path
            tried += 1
    assert tried > 100


def test_nothing_is_changed_by_looking(room: Showroom) -> None:
    """GET and HEAD are what a link or an image of another site can send."""
    endpoints = declared_endpoints(room.context, Dispatcher(all_operations(), room.context))
    changing = {operation.name for operation in all_operations() if operation.changes}
    assert not [one.path for one in endpoints if one.method == "GET" and one.path.removeprefix("/api/") in changing]
    door, before = browser(room), changes(room)
    for path in FORMS:
        for method in ("GET", "HEAD"):
            assert door.request(method, address(path)).status_code in (200, 403, 404, 405, 422)
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT"):
        assert door.request(method, "/theme").status_code == 405
    assert changes(room) == before


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example#localhost",
     "localhost@evil.example", "localhost, evil.example", "2130706433", "0x7f.1", "localhost.", "", "169.254.169.254",
     "[::ffff:7f00:1]", "localhost\tx", "0.0.0.0", "192.168.0.1"],
)  # fmt: skip
def test_no_other_name_leads_to_this_process(room: Showroom, host: str) -> None:
    """A page whose name server says 127.0.0.1 of its own name sends that name."""
    ask = Raw(room)
    for method, target in (("POST", "/api/models.list"), ("GET", "/models"), ("GET", "/livez"), ("GET", "/login")):
        answer = ask(method, target, b"{}", host=host)
        assert answer.status == 421, target
        assert answer.json["code"] == "host"
    assert ask("POST", "/api/models.list", b"{}", host="evil.example", x_forwarded_host="localhost").status == 421


def test_no_answer_may_be_read_by_another_site(room: Showroom) -> None:
    ask = Raw(room)
    for method in ("OPTIONS", "GET", "POST"):
        asked = {"origin": "http://evil.example", "access_control_request_method": "POST"}
        answer = ask(method, "/api/models.list", b"{}", **asked)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


PAGE = """<body><script>
async function attack(origin) {
  const tried = [];
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD'])
    for (const path of ['/logout', '/theme', '/access/add', '/api/models.list', '/api/access.add'])
      for (const mode of ['cors', 'no-cors']) {
        try {
          const answer = await fetch(origin + path, {method, mode, credentials: 'include',
            body: ['GET', 'HEAD'].includes(method) ? undefined : new URLSearchParams({account: 'mallory'})});
          if (answer.type !== 'opaque') tried.push(path + method + await answer.text());
        } catch (error) {}
      }
  return tried;
}
</script><form method=post><input name=account value=mallory><input name=kind value=person></form>"""


@pytest.fixture
def evil() -> Iterator[str]:
    """A site of somebody else's, by another name of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://evil.localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_of_another_site_in_a_browser_that_is_logged_in_does_nothing(room: Showroom, evil: str) -> None:
    with serving(room) as origin, sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        page: Any = chromium.new_page()
        page.goto(f"{origin}/login?token={issue_login(room.context.config.home)}")
        page.wait_for_url(f"{origin}/")
        before = changes(room)
        page.goto(evil)
        assert page.evaluate("origin => attack(origin)", origin) == []
        for path in ("/access/add", "/logout", "/theme"):
            page.goto(evil)
            page.evaluate("action => { const f = document.forms[0]; f.action = action; f.submit(); }", origin + path)
            page.wait_for_url(f"{origin}{path}*")
        assert changes(room) == before
        page.goto(f"{origin}/access")  # the session goes on
        assert "mallory" not in page.content()
        assert page.url == f"{origin}/access"
        rebound = origin.replace("127.0.0.1", "rebound.localhost")
        answer = page.goto(f"{rebound}/models")
        assert answer.status == 421
        chromium.close()


def test_the_cookie_is_of_this_host_alone(room: Showroom) -> None:
    """The flags of the cookie; the variant behind TLS is in tests/unit/api/test_console_access.py."""
    door = Door(room, headers=BROWSER)
    answer: httpx.Response = door.get("/login", params={"token": issue_login(room.context.config.home)})
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert "Domain" not in cookie
