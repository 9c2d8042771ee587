"""What one caller may cost: one step beyond each limit is refused at once, and within a bounded memory."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from octavo.api.app import build_app
from octavo.operations import Dispatcher
from octavo.problems import MOST_TEXT
from octavo.wiring import all_operations
from tests.security.sites import FILES, MLFLOW, Raw, mark_of, post
from tests.showrooms import Showroom, full_showroom, run_id
from tests.showrooms.doors import Door, api, browser

LIMIT_S = 1.0
"""Far above what is needed, far below what any of the attacks cost before there was a limit."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def admin(room: Showroom) -> Door:
    door = api(room)
    door.post("/api/models.list", json={})  # whatever is made at the first call
    post(door, "runs.experiments.create", name="a" * 240, tags={"t": "a" * 8_000})
    post(door, "registered.create", name="a" * 240, tags={"t": "a" * 5_000})
    return door


def timed(call: Callable[[], Any], *, within_s: float = LIMIT_S) -> Any:
    gc.disable()  # what others left behind is not this call's to collect
    try:
        began = time.thread_time()
        answer = call()
        assert time.thread_time() - began < within_s
    finally:
        gc.enable()
    return answer


BODIES = {
    "deep lists": b"[" * 500_000,
    "deep objects": b'{"a":' * 200_000,
    "a long number": b'{"limit":' + b"9" * 200_000 + b"}",
    "a number that is infinite": b'{"limit":1e999}',
    "many fields": b"{" + b",".join(b'"f%d":1' % n for n in range(50_000)) + b"}",
    "a long name": b'{"' + b"x" * 1_000_000 + b'":1}',
    "a long text": b'{"model":"' + b"x" * 1_000_000 + b'"}',
    "white space": b" " * 1_000_000,
    "nul": b"\0" * 1_000_000,
    "no text": b"\xff" * 1_000_000,
    "a lone surrogate": b'{"model":"\\ud800"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_costs_much_or_is_answered_at_length(admin: Door, name: str) -> None:
    for path in ("/api/models.show", "/api/runs.list", f"{MLFLOW}/runs/search", f"{MLFLOW}/experiments/create"):
        answer = timed(partial(admin.post, path, content=BODIES[name]))
        assert 400 <= answer.status_code < 500 or answer.status_code == 200, answer.text
        assert len(answer.content) < 4 * MOST_TEXT or answer.status_code == 200


def test_a_refusal_does_not_repeat_what_was_sent(admin: Door) -> None:
    """Nor does the trail keep it at length."""
    for path, body in (
        ("/api/models.show", {"model": "x" * 500_000}),
        ("/api/releases.start", {"deployment": "x" * 500_000}),
        ("/api/models.show", {"x" * 500_000: 1}),
        (f"{MLFLOW}/runs/get?run_id={'x' * 50_000}", None),
        (f"/api/{'x' * 50_000}", {}),
    ):
        answer = admin.get(path) if body is None else admin.post(path, json=body)
        assert 400 <= answer.status_code < 500
        assert len(answer.content) < 4 * MOST_TEXT
    trail = admin.post("/api/audit.list", json={"limit": 100}).json()
    assert max(len(event["target"]) for event in trail) < 5_000


FILTERS = [
    "name LIKE '" + "%a" * 100 + "b'", "name ILIKE '" + "%_" * 100 + "b'", "tags.t LIKE '" + "%a" * 100 + "b'",
    "name" + " " * 50_000, " and " * 5_000, "name = 'x'" + " and name = 'x'" * 5_000, "'" * 100_000, "`" * 100_000,
    "run." + "`run." * 20_000, "status " * 20_000, "(" * 100_000, "name IN (" + "'a'," * 50_000 + ")",
    "\u00a0" * 50_000, "attributes." * 10_000, "status = " * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("where", FILTERS, ids=lambda text: text[:12])
def test_no_filter_costs_more_than_it_may(admin: Door, where: str) -> None:
    calls = [
        lambda: admin.post(f"{MLFLOW}/experiments/search", json={"filter": where}),
        lambda: admin.get(f"{MLFLOW}/registered-models/search", params={"filter": where[:5_000]}),
        lambda: admin.post(f"{MLFLOW}/logged-models/search", json={"filter": where}),
        lambda: admin.post(f"{MLFLOW}/runs/search", json={"filter": where, "experiment_ids": ["0", "1"]}),
        lambda: admin.post("/api/runs.list", json={"where": where, "sort": where}),
    ]
    for call in calls:
        assert timed(call).status_code < 500


@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 30, "-1", "\u0663", "1e9", "0x1", "٣" * 20, ""])
def test_a_number_of_any_length_is_a_mistake_and_no_failure(room: Showroom, admin: Door, number: str) -> None:
    door = browser(room)
    mark = mark_of(door)
    answers = [
        admin.post(f"{MLFLOW}/experiments/search", json={"page_token": number}),
        admin.get(f"{MLFLOW}/registered-models/search", params={"page_token": number, "max_results": number}),
        admin.get(f"{MLFLOW}/model-versions/get", params={"name": "x", "version": number}),
        door.get(f"/models/arrival_delay/{number}"),
        door.post(f"/models/arrival_delay/{number}/waive", data={"csrf": mark, "gate": "x"}),
        door.post("/deployments/eta/release", data={"csrf": mark, "version": number or "x"}),
        door.get("/lineage", params={"depth": number, "node": "eta"}),
        door.get("/runs", params={"limit": number, "where": f"version = {number}"}),
        Raw(room)("POST", "/api/models.list", b"{}", content_length=number.encode("ascii", "ignore").decode()),
    ]
    assert [
        one for one in answers if getattr(one, "status_code", None) == 500 or getattr(one, "status", 0) == 500
    ] == []


@pytest.mark.parametrize("limit", [0, -1, 10**9, 2**63, 2**64, 2**70, -(2**63) - 1])
def test_no_list_is_longer_than_it_may_be(admin: Door, limit: int) -> None:
    failed = []
    for name in ("runs.list", "releases.list", "incidents.list", "audit.list", "predictions.list", "experiments.list",
                 "datasets.list", "events.dead", "features.audits", "runs.search", "runs.models.list"):  # fmt: skip
        fields = {"deployment": "eta"} if name in ("predictions.list", "features.audits") else {}
        answer = admin.post(f"/api/{name}", json={**fields, "limit": limit})
        failed += [] if answer.status_code in (200, 413, 422) else [name]
    assert failed == []
    history = {"run": run_id(5), "limit": limit}
    assert admin.post("/api/runs.history", json=history).status_code in (200, 413, 422)
    for path in ("runs/search", "experiments/search", "logged-models/search"):
        assert admin.post(f"{MLFLOW}/{path}", json={"max_results": limit}).status_code in (200, 400)


def test_a_body_is_counted_while_it_comes(room: Showroom, admin: Door) -> None:
    """One that never ends is ended after the first byte too many; nothing is kept of it."""
    most = room.context.config.control.max_body_bytes
    app, token = (
        build_app(room.context, Dispatcher(all_operations(), room.context)),
        admin._client.headers["authorization"],
    )
    taken = 0

    async def ask(method: str, path: str, piece: bytes) -> int:
        nonlocal taken
        sent: list[Any] = []

        async def endless() -> AsyncIterator[dict[str, Any]]:
            nonlocal taken
            while True:
                taken += len(piece)
                yield {"type": "http.request", "body": piece, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": "", "path": path,
            "raw_path": path.encode(), "query_string": b"", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"localhost"), (b"authorization", token.encode())],
        }  # fmt: skip
        await app(scope, endless().__anext__, send)
        status: int = sent[0]["status"]
        return status

    for path in ("/api/models.show", "/events/landings", "/outcomes", f"{MLFLOW}/runs/create"):
        taken = 0
        assert asyncio.run(ask("POST", path, b" " * 1_000_000)) in (400, 413), path
        assert taken <= most + 2_000_000


def test_a_body_that_says_it_is_too_large_is_not_read(room: Showroom) -> None:
    ask = Raw(room)
    for method, path in (("POST", "/api/models.show"), ("PUT", f"{FILES}/0/{run_id(5)}/artifacts/x")):
        for length in ("99999999999", "9" * 5_000):
            answer = ask(method, path, b"", content_length=length)
            assert answer.status in (400, 413), answer


@pytest.mark.parametrize(
    "value", ["bytes=0-0," + ",".join(f"{n}-" for n in range(10_000)), "bytes=-9999999999", "x" * 60_000]
)
def test_a_range_is_not_looked_at(room: Showroom, value: str) -> None:
    ask = Raw(room)
    ask("PUT", f"{FILES}/0/{run_id(5)}/artifacts/ranged", b"x" * 1_000)
    for target in ("/static/console.css", f"{FILES}/0/{run_id(5)}/artifacts/ranged"):
        answer = timed(partial(ask, "GET", target, range=value))
        assert answer.status == 200


def test_a_form_of_many_fields_and_parts_is_refused(room: Showroom, tmp_path: Path) -> None:
    door = browser(room)
    many = "&".join(f"f{n}=1" for n in range(10_000))
    assert door.post("/theme", content=many).status_code in (413, 422)
    parts = (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(300)) + b"--x--"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert door.post("/theme", content=parts, headers=headers).status_code in (403, 413, 422)
