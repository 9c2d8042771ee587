"""What is wrong is told as problem details that name the field and the fix; the process stays up."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import Door, api, browser

from octavo.config import ControlSettings


@pytest.fixture
def client(tmp_path: Path) -> Door:
    return api(empty_showroom(tmp_path))


@pytest.mark.parametrize(
    ("body", "field", "fix"),
    [
        ({"deploymnet": "eta"}, "deploymnet", "did you mean deployment?"),
        ({"deployment": 3}, "deployment", "expected `str`, got `int`"),
        ({}, "deployment", "add the field deployment"),
        ({"deployment": "eta", "version": "two"}, "version", "expected `int | null`, got `str`"),
    ],
)
def test_a_wrong_field_is_named_with_its_fix(client: Door, body: object, field: str, fix: str) -> None:
    answer = client.post("/api/releases.start", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["field"]) == (422, "invalid_request", field)
    assert fix.lower() in problem["fix"].lower()
    assert problem["type"] == "urn:octavo:problem:invalid_request"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"model": "\xff"}', "UTF-8"),
        (b'{"limit": NaN}', "NaN"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_object_is_refused_with_the_reason(client: Door, body: bytes, words: str) -> None:
    answer = client.post("/api/runs.list", content=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert answer.json()["fix"]
    assert client.post("/api/runs.list", json={}).status_code == 200


def test_a_nested_field_is_named_by_its_path(client: Door) -> None:
    rows = [{"prediction": "018f0000-0000-7000-8000-000000000001", "value": 1.0, "weight": 2}]
    problem = client.post("/outcomes", json={"rows": rows}).json()
    assert problem["field"] == "rows[0].weight"


def test_a_time_without_an_offset_is_refused(client: Door) -> None:
    problem = client.post("/api/monitoring.traffic", json={"deployment": "eta", "since": "2013-05-20T00:00:00"}).json()
    assert problem["field"] == "since"
    assert "2013-07-01T12:00:00Z" in problem["fix"]


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    small = replace(room.context, config=replace(room.context.config, control=ControlSettings(max_body_bytes=100)))
    client = api(Showroom(context=small, text=""))

    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"rows": ['
        yield b" " * 1_000

    for answer in (client.post("/outcomes", content=b" " * 101), client.post("/outcomes", content=trickle())):
        assert answer.status_code == 413
        assert answer.json()["code"] == "limit_exceeded"
        assert "100" in answer.json()["detail"]


def test_a_wrong_method_is_told_the_right_one(client: Door) -> None:
    answer = client.get("/api/models.list")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.json()["fix"] == "use POST"


def test_an_unknown_operation_is_told_the_nearest(client: Door) -> None:
    answer = client.post("/api/model.list")
    assert answer.status_code == 404
    assert "'models.list'" in answer.json()["detail"]


def test_what_does_not_exist_is_told_what_does(client: Door) -> None:
    answer = client.post("/api/models.show", json={"model": "arrival_dely"})
    assert answer.status_code == 404
    assert "did you mean 'arrival_delay'?" in answer.json()["detail"]


def test_each_answer_carries_the_id_of_its_request(client: Door) -> None:
    given = client.post("/api/nothing", headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == given.json()["request_id"] == "abc-1"
    made = client.post("/api/nothing", headers={"x-request-id": "not an id"})
    assert made.headers["x-request-id"] == made.json()["request_id"] != "not an id"


def test_a_browser_reads_a_page_and_a_program_reads_json(tmp_path: Path) -> None:
    visitor = browser(empty_showroom(tmp_path))
    page = visitor.get("/models/nothing")
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is no model named" in page.text
    assert page.headers["x-request-id"] in page.text
    assert visitor.get("/nowhere", headers={"accept": "*/*"}).json()["code"] == "not_found"
