"""What is refused or fails says what a caller needs, and nothing of what is inside."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import cycle
from typing import Any

import msgspec
import pytest

from octavo import errors
from octavo.api.app import declared_endpoints
from octavo.errors import OctavoError
from octavo.operations import Dispatcher
from octavo.problems import Problem, problem_of, status_of
from octavo.wiring import all_operations
from tests.security.sites import MLFLOW
from tests.showrooms import Showroom, full_showroom
from tests.showrooms.doors import BROWSER, Door, api, browser

INSIDE = re.compile(
    r"Traceback|/src/octavo|/site-packages|\.py\b|sqlite3?\.|sqlalchemy|psycopg|0x[0-9a-f]{6,}|<[a-z_.]+ object"
)
HOSTILE: list[Any] = [
    "", "x", "../x", "\0", "'; --", "{}", "x" * 10_000, "\U0001f600", 0, -1, 2**63, 2**70, 1.5, True, None, [], {},
    ["x"], [None], {"x": 1}, {"x": {"y": []}}, "NaN", "2013-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+14:00", "1d", "99999999999d", "sha256:" + "0" * 64, "018f0000-0000-7000-8000-000000000005",
]  # fmt: skip
NAMED = """run_id, run_uuid, experiment_id, experiment_name, name, version, key, value, filter, model_id, page_token,
max_results, order_by, tags, params, metrics, status, timestamp, step, metric_key, alias, stage, run_view_type,
experiment_ids, source, start_time, end_time, path, datasets"""
OPERATIONS = {operation.name: operation for operation in all_operations()}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def admin(room: Showroom) -> Door:
    return api(room)


def check(answer: Any, *, where: object) -> None:
    if answer.status_code != 503 and '"integrity"' not in answer.text:  # nothing in the showroom is signed
        assert answer.status_code < 500, (where, answer.text)
    if answer.status_code >= 400 and "problem" in answer.headers["content-type"]:
        told = msgspec.json.decode(answer.content, type=Problem)
        assert (told.status, told.request_id) == (answer.status_code, answer.headers["x-request-id"])
        assert not INSIDE.search(told.detail), (where, told.detail)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("system.backup", "models.train")])
def test_no_operation_fails_at_what_it_is_sent(admin: Door, room: Showroom, name: str) -> None:
    """Each field in turn is something that it should not be, and the others are what they may be."""
    request = OPERATIONS[name].request
    good = {
        "model": "arrival_delay",
        "deployment": "eta",
        "version": 2,
        "source": "landings",
        "view": "origin_landings",
    }
    base = {one.name: good.get(one.name, "x") for one in fields(request) if one.default is one.default_factory}
    bodies = [{**base, one.name: value} for one in fields(request) for value in HOSTILE[::2]]
    values = cycle(HOSTILE)
    bodies += [{one.name: next(values) for one in fields(request)} for _ in range(5)]
    for body in bodies:
        check(admin.post(f"/api/{name}", json=body), where=body)


def mlflow_calls(room: Showroom) -> Iterator[tuple[str, str]]:
    for endpoint in declared_endpoints(room.context, Dispatcher(all_operations(), room.context)):
        if endpoint.path.startswith(MLFLOW):
            yield endpoint.method, endpoint.path


def test_no_call_of_mlflows_client_fails_at_what_it_is_sent(admin: Door, room: Showroom) -> None:
    named = [one.strip() for one in NAMED.split(",")]
    for place, (method, path) in enumerate(mlflow_calls(room)):
        for number in range(8):
            body = {name: HOSTILE[(place * 7 + number * 11 + at * 5) % len(HOSTILE)] for at, name in enumerate(named)}
            address = path.replace("{model_id}", "m-1").replace("{tag_key}", "t")
            if method == "GET":
                body = {name: str(value)[:200] for name, value in body.items()}
                check(admin.get(address, params=body), where=(path, body))
            else:
                check(admin.request(method, address, json=body), where=(path, body))


def every_error() -> Iterator[OctavoError]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, OctavoError):
            for arguments in (("what",), ("what", "which"), ("what", "which", "why")):
                try:
                    yield kind(*arguments)
                except TypeError:
                    continue
                break


def test_every_error_is_told_in_one_form() -> None:
    found = list(every_error())
    assert len(found) > 12
    for error in found:
        told = problem_of(error, request_id="r")
        assert told.status == status_of(error)
        assert set(msgspec.to_builtins(told)) <= {
            "type",
            "title",
            "status",
            "detail",
            "code",
            "request_id",
            "field",
            "fix",
        }


class Broken:
    """A store that fails as no adapter foresees, with something in its text that nobody outside may read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def transaction(self) -> Any:
        raise self._error

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    "error",
    [ValueError("hunter2 /srv/secret"), KeyError("hunter2"), MemoryError("hunter2"), RecursionError("hunter2"),
     OSError(28, "hunter2", "/srv/secret"), AssertionError("hunter2")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_nobody_foresaw_is_told_by_a_number_only(room: Showroom, error: Exception) -> None:
    cookie = browser(room).cookies["octavo_session"]
    broken = replace(room.context, stores=replace(room.stores, metadata=Broken(error)))
    site = Showroom(context=broken, text="")
    program, visitor = api(site), Door(site, headers={**BROWSER, "cookie": f"octavo_session={cookie}"})
    for answer in (
        program.post("/api/audit.list", json={}),
        program.get(f"{MLFLOW}/runs/get?run_id=x"),
        visitor.get("/models"),
    ):
        assert answer.status_code == 500
        assert "hunter2" not in answer.text
        assert "/srv/secret" not in answer.text
        assert answer.headers["x-request-id"] in answer.text


def test_a_stranger_is_told_nothing_of_the_project(room: Showroom) -> None:
    """Neither names, nor versions of what runs, nor whether a thing is there."""
    door = Door(room)
    answers = [
        door.request(method, path, headers={"accept": accept})
        for method in ("GET", "POST")
        for path in (
            "/",
            "/models/arrival_delay",
            "/models/nothing",
            "/api/models.show",
            "/api/nothing",
            "/livez",
            "/readyz",
            "/login",
            "/metrics",
            "/api/openapi.json",
            f"{MLFLOW}/runs/get",
        )
        for accept in ("text/html", "application/json")
    ]
    for answer in answers:
        text = answer.text + str({name: value for name, value in answer.headers.items() if name != "location"})
        text = re.sub(r"models(/|%2F)arrival_delay", "", text)  # which is what was asked for
        assert not re.search(r"arrival_delay|\beta\b|origin_landings|uvicorn|starlette|Python", text)
    assert {one.headers.get("server") for one in answers} == {None}


def test_an_id_that_a_caller_gives_is_plain(admin: Door) -> None:
    """An id of a caller's is taken for the request only if it is plain: it stands in logs and answers."""
    for given in ("<script>", "a b", "x" * 65, "a\tb", ""):
        answer = admin.post("/api/models.list", json={}, headers={"x-request-id": given})
        assert answer.headers["x-request-id"] != given
    assert (
        admin.post("/api/models.list", json={}, headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    )
