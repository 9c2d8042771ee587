"""Every route declares a permission, and answers nobody without it."""

import re
from pathlib import Path

import pytest
from msgspec import inspect
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import BROWSER, Html, api, browser, stranger

from octavo.api.endpoints import PUBLIC, Endpoint, check_routes
from octavo.console.pages import all_pages
from octavo.console.visits import Page
from octavo.errors import ConfigurationError
from octavo.operations import SYSTEM, Operation, Principal
from octavo.principals import SELF
from octavo.wiring import all_operations

SOMETHING: dict[type, object] = {
    inspect.StrType: "1",
    inspect.IntType: 1,
    inspect.BytesType: "",
    inspect.VarTupleType: [],
}
OPERATIONS, PAGES = list(all_operations()), all_pages()
CLOSED = [operation for operation in OPERATIONS if operation.permission != SELF]
MACHINE_ROUTES = [
    ("GET", "/api/openapi.json"),
    ("GET", "/api/clock"),
    ("GET", "/metrics"),
    ("POST", "/events/landings"),
    ("POST", "/outcomes"),
    *(("POST", f"/api/{operation.name}") for operation in OPERATIONS),
]


def address(page: Page) -> str:
    return re.sub(r"\{[a-z]+\}", "1", page.path)


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


def anybody(_: Request) -> Principal:
    return SYSTEM


def least(request: type) -> dict[str, object]:
    """The required fields of a request, filled with something of their type."""
    known = inspect.type_info(request).fields  # type: ignore[attr-defined]  # every request is a dataclass
    return {f.name: SOMETHING[type(f.type)] for f in known if f.required}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return empty_showroom(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize(("method", "path"), MACHINE_ROUTES)
def test_a_machine_without_a_token_is_told_to_bring_one(room: Showroom, method: str, path: str) -> None:
    answer = stranger(room).request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="octavo"'
    assert answer.json()["code"] == "not_authenticated"
    assert "Authorization" in answer.json()["detail"]


@pytest.mark.parametrize("operation", CLOSED, ids=lambda operation: operation.name)
def test_a_token_without_the_permission_may_not(room: Showroom, operation: Operation) -> None:
    caller = api(room, permissions=["something:else"])
    answer = caller.post(f"/api/{operation.name}", json=least(operation.request))
    assert answer.status_code == 403
    assert operation.permission in answer.json()["detail"]


def test_a_denied_attempt_is_audited(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    api(room, permissions=[]).post("/api/releases.start", json={"deployment": "eta"})
    with room.stores.metadata.transaction() as tx:
        [event] = tx.audit()
    assert (event.operation, event.target, event.outcome) == ("releases.start", "deployment=eta", "denied")
    assert event.actor.startswith("eve/")


@pytest.mark.parametrize("token", ["octavo_00000000_" + "0" * 64, "nonsense", ""])
def test_a_wrong_token_is_refused(room: Showroom, token: str) -> None:
    api(room)
    answer = stranger(room).post("/api/models.list", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_a_page_sends_a_stranger_to_log_in(room: Showroom, page: Page) -> None:
    answer = stranger(room).request(page.method, address(page), headers=BROWSER)
    if page.method == "GET":
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=%2F")
    else:
        assert answer.status_code == 401


def test_home_is_open_to_all_who_are_logged_in(room: Showroom) -> None:
    answer = browser(room, permissions=[]).get("/")
    assert answer.status_code == 200
    assert "eta" not in Html(answer.text).text.split()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.path != "/"], ids=lambda page: f"{page.method} {page.path}"
)
def test_a_page_is_closed_to_a_visitor_without_its_permission(room: Showroom, page: Page) -> None:
    answer = browser(room, permissions=[]).request(page.method, address(page))
    assert answer.status_code == 403
    assert page.permission in answer.text


def test_what_needs_no_caller_says_nothing_of_the_project(room: Showroom) -> None:
    client = stranger(room)
    assert [client.get(path).text for path in ("/livez", "/readyz")] == ["ok\n", "ok\n"]
    login = client.get("/login")
    assert login.status_code == 200
    assert "flights" not in login.text
    assert client.get("/static/console.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_route_without_a_permission_cannot_be_served() -> None:
    with pytest.raises(ConfigurationError, match="declares no permission"):
        Endpoint(method="GET", path="/", permission="", handle=hello, identify=anybody)
    with pytest.raises(ConfigurationError, match="declares no permission"):
        check_routes([Route("/open", hello)])
    check_routes([Endpoint(method="GET", path="/", permission=PUBLIC, handle=hello, identify=anybody).route()])
