"""Who may use which way in: the program against a file that people read, and every way against what it does.

After a change of routes, operations or roles write the file anew, and look at what has changed in it:

    python -m tests.architecture.test_access_matrix
"""

import asyncio
import csv
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from starlette.applications import Starlette
from tests.serving.asgi import Caller
from tests.serving.calls import HEADERS, frame
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import BROWSER, Html
from tests.showrooms.moments import NOW

from octavo.access import Authority
from octavo.access.roles import ADMIN
from octavo.access_settings import OidcSettings
from octavo.api.app import build_app, known_callers
from octavo.api.shield import Shield
from octavo.cli.ways_in import ANYBODY, COLUMNS, SERVICES, Way, as_csv, ways_in
from octavo.clock import ReplayClock
from octavo.config import Config
from octavo.governance.access import requests as access
from octavo.operations import SYSTEM, Dispatcher
from octavo.principals import PERSON, SERVICE
from octavo.serving.grpc.app import GrpcApp
from octavo.serving.process import build
from octavo.wiring import all_operations

FILE = Path(__file__).with_name("access_matrix.csv")
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


def everything(root: Path) -> Showroom:
    """A project with every way in that depends on settings: a replayed clock, a provider."""
    room = empty_showroom(root)
    oidc = OidcSettings(issuer="http://127.0.0.1:9", client_id="octavo", url="http://localhost")
    config: Config = replace(room.context.config, oidc=oidc)
    clock = ReplayClock(root / "clock", start=NOW)
    return Showroom(context=replace(room.context, config=config, clock=clock), text="")


def ways(room: Showroom) -> tuple[Way, ...]:
    return ways_in(room.context, Dispatcher(all_operations(), room.context))


@dataclass(frozen=True)
class Site:
    """A whole platform in one process, and a key for each column that has one."""

    room: Showroom
    authority: Authority
    keys: Mapping[str, str]
    ways: tuple[Way, ...]
    predictor: Caller

    def headers(self, column: str) -> dict[str, str]:
        return {} if column == ANYBODY else {"authorization": f"Bearer {self.keys[column]}"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    room = everything(tmp_path_factory.mktemp("project"))
    dispatcher = Dispatcher(all_operations(), room.context)
    keys = {}
    dispatcher.call(access.AddAccount(account="owner"), SYSTEM)
    for column in COLUMNS:
        if column == ANYBODY:
            continue
        name, kind = column.replace(" ", "-"), SERVICE if column == SERVICES else PERSON
        owner = "owner" if kind == SERVICE else ""
        dispatcher.call(access.AddAccount(account=name, kind=kind, owner=owner), SYSTEM)
        role = ADMIN if column == SERVICES else column
        dispatcher.call(access.GrantRole(account=name, role=role), SYSTEM)
        keys[column] = dispatcher.call(access.CreateKey(account=name), SYSTEM).text
    authority = known_callers(room.context)
    predictor = Config(root=tmp_path_factory.mktemp("predictor"))
    app, _, record_log = build(predictor, callers=authority)
    caller = Caller(app=app, grpc=GrpcApp(app, max_bytes=1_000))
    yield Site(room=room, authority=authority, keys=keys, ways=ways(room), predictor=caller)
    app.close()
    record_log.close()


def test_the_file_says_what_the_program_does(site: Site) -> None:
    assert as_csv(site.ways) == FILE.read_text(encoding="utf-8"), (
        "who may use which way in has changed; write it anew with "
        "python -m tests.architecture.test_access_matrix, and look at what has changed"
    )


def test_nothing_is_open_to_everybody_but_what_must_be() -> None:
    with FILE.open(encoding="utf-8", newline="") as file:
        opened = {(way["door"], way["method"], way["path"]) for way in csv.DictReader(file) if way[ANYBODY] == "yes"}
    assert opened == {
        ("console", "GET", "/login"),
        ("console", "GET", "/login/oidc"),
        ("console", "GET", "/login/oidc/callback"),
        ("console", "GET", "/static/{name}"),
        ("console", "POST", "/login"),
        ("control", "GET", "/livez"),
        ("control", "GET", "/readyz"),
        ("grpc", "call", "/grpc.health.v1.Health/Check"),
        ("grpc", "call", "/grpc.health.v1.Health/Watch"),
        ("grpc", "call", "/inference.GRPCInferenceService/ServerLive"),
        ("grpc", "call", "/inference.GRPCInferenceService/ServerReady"),
        ("predictor", "GET", "/livez"),
        ("predictor", "GET", "/ping"),
        ("predictor", "GET", "/readyz"),
        ("predictor", "GET", "/v2/health/live"),
        ("predictor", "GET", "/v2/health/ready"),
    }


def test_every_route_that_is_served_is_in_the_matrix(site: Site) -> None:
    """By the application's own table of routes; GET brings HEAD, which is let in as GET is."""
    app = build_app(site.room.context, Dispatcher(all_operations(), site.room.context), access=site.authority)
    assert isinstance(app, Shield)
    inner = app._app
    assert isinstance(inner, Starlette)
    served = {(method, route.path) for route in inner.routes for method in getattr(route, "methods", None) or {"?"}}
    known = {(way.method, way.path) for way in site.ways if way.door in ("control", "console")}
    assert served == known | {("HEAD", path) for method, path in known if method == "GET"}


CONFUSING = [
    *("//api/models.list", "/api//models.list", "/api/./models.list", "/livez/../api/models.list", "/api/models.list/"),
    *(
        "/api/models.list;/livez",
        "/api/models%2elist",
        "/%61pi/models.list",
        "/api/models.list%00",
        "/livez%2f..%2fmetrics",
    ),
    *(
        "/metrics/",
        "//metrics",
        "/metrics;x",
        "/METRICS",
        "/static/../metrics",
        "/static/%2e%2e/metrics",
        "/login/../audit",
    ),
    *("/metrics?/livez", "/audit?/login", "/audit#/login", "/static/console.css/../../audit"),
]
HOSTS = [
    "localhost",
    "localhost/livez?",
    "localhost#",
    "a@localhost",
    "evil.example",
    "localhost:80:80",
    "",
    "localhost\\x",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_path_and_no_host_gets_around_the_matrix(site: Site, host: str) -> None:
    """Sent as they are, without a client that tidies them up: nobody sees what is not open to everybody."""
    app = build_app(site.room.context, Dispatcher(all_operations(), site.room.context), access=site.authority)

    async def ask(method: str, target: str) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": "",
            "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(b"host", host.encode())], "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    async def ask_all() -> list[tuple[str, str, int]]:
        found = []
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X"):
            for target in (*CONFUSING, "/metrics", "/audit", "/api/models.list"):
                status, _ = await ask(method, target)
                found.append((method, target, status))
        return found

    assert [one for one in asyncio.run(ask_all()) if one[2] < 400 and one[2] != 303] == []


@pytest.mark.parametrize("column", COLUMNS)
def test_control_lets_in_whom_the_matrix_says(site: Site, column: str) -> None:
    """Each is called with a body that nobody takes: whoever may is told so, all others that they may not."""

    async def call_all() -> dict[tuple[str, str], bool]:
        app = build_app(site.room.context, Dispatcher(all_operations(), site.room.context), access=site.authority)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=site.headers(column)
        ) as client:
            found = {}
            for way in doors(site, "control"):
                body = {"no such field": 1} if way.method != "GET" else None
                answer = await client.request(way.method, address(way), json=body)
                found[way.method, way.path] = is_let_in(answer.status_code, column)
            return found

    assert asyncio.run(call_all()) == expected(site, "control", column)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != SERVICES])
def test_the_console_lets_in_whom_the_matrix_says(site: Site, column: str) -> None:
    async def visit_all() -> dict[tuple[str, str], bool]:
        app = build_app(site.room.context, Dispatcher(all_operations(), site.room.context), access=site.authority)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=BROWSER) as client:
            mark = ""
            if column != ANYBODY:
                await client.post("/login", data={"token": site.keys[column]})
                found = CSRF.search((await client.get("/")).text)
                assert found is not None
                mark = found[1]
            seen = {}
            for way in sorted(doors(site, "console"), key=lambda way: way.path == "/logout"):  # which ends the session
                form = {"csrf": mark} if way.method == "POST" else None
                answer = await client.request(way.method, address(way), data=form)
                status = 401 if answer.headers.get("location", "").startswith("/login?next=") else answer.status_code
                if way.path.startswith("/login"):  # where nobody comes in with nothing, and everybody is told so
                    status = 200 if "Log in" in Html(answer.text).text else status
                seen[way.method, way.path] = is_let_in(status, column)
            return seen

    assert asyncio.run(visit_all()) == expected(site, "console", column)


def test_a_service_cannot_log_in(site: Site) -> None:
    async def log_in() -> int:
        app = build_app(site.room.context, Dispatcher(all_operations(), site.room.context), access=site.authority)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=BROWSER) as client:
            return (await client.post("/login", data={"token": site.keys[SERVICES]})).status_code

    assert asyncio.run(log_in()) == 401


@pytest.mark.parametrize("column", COLUMNS)
def test_the_predictor_lets_in_whom_the_matrix_says(site: Site, column: str) -> None:
    found = {}
    for way in doors(site, "predictor"):
        asked = site.predictor.ask(way.method, way.path.replace("*", "nothing"), parts=[b"{}"], **given(site, column))
        found[way.method, way.path] = is_let_in(asyncio.run(asked).status, column)
    assert found == expected(site, "predictor", column)


@pytest.mark.parametrize("column", COLUMNS)
def test_grpc_lets_in_whom_the_matrix_says(site: Site, column: str) -> None:
    found = {}
    for way in doors(site, "grpc"):
        if way.path.endswith("/Watch"):  # is open to everybody, and goes on for ever
            found[way.method, way.path] = True
            continue
        asked = site.predictor.post(way.path, frame(b""), **HEADERS, **given(site, column))
        found[way.method, way.path] = is_let_in(asked.status, column)
    assert found == expected(site, "grpc", column)


def doors(site: Site, door: str) -> list[Way]:
    return [way for way in site.ways if way.door == door]


def expected(site: Site, door: str, column: str) -> dict[tuple[str, str], bool]:
    return {(way.method, way.path): way.is_open_to(column) for way in doors(site, door)}


def given(site: Site, column: str) -> dict[str, str]:
    return {"authorization": site.headers(column).get("authorization", "")}


def address(way: Way) -> str:
    return re.sub(r"\{[^}]+\}", "1", way.path)


def is_let_in(status: int, column: str) -> bool:
    """Whether a status says that somebody may; whoever may not is told so as is right for them."""
    if status in (401, 403):
        assert status == (401 if column == ANYBODY else 403)
        return False
    return True


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FILE.write_text(as_csv(ways(everything(Path(folder)))), encoding="utf-8")
