"""The console's way in for people with accounts, and what ends it; forms of other sites without Fetch metadata."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import BROWSER, Door, Html, api, browser

from octavo.access import ensure_admin, issue_login
from octavo.config import Config, ControlSettings


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return empty_showroom(tmp_path)


def post(door: Door, name: str, **fields: Any) -> Any:
    answer = door.post(f"/api/{name}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def person(room: Showroom, *, role: str = "viewer") -> tuple[Door, str]:
    """An administrator's door, and a key of ada, who holds a role."""
    admin = api(room)
    post(admin, "access.add", account="ada")
    post(admin, "access.grant", account="ada", role=role)
    return admin, post(admin, "access.create_key", account="ada")["text"]


def visit(room: Showroom, key: str) -> Door:
    door = Door(room, headers=BROWSER)
    assert door.post("/login", data={"token": key}).status_code == 200
    return door


def test_a_person_logs_in_by_a_key(room: Showroom) -> None:
    _, key = person(room)
    door = visit(room, key)
    page = door.get("/models")
    assert page.status_code == 200
    assert "ada" in Html(page.text).text
    assert door.get("/audit").status_code == 403


def test_a_service_does_not(room: Showroom) -> None:
    admin, _ = person(room)
    post(admin, "access.add", account="ci", kind="service", owner="ada")
    key = post(admin, "access.create_key", account="ci")["text"]
    answer = Door(room, headers=BROWSER).post("/login", data={"token": key})
    assert answer.status_code == 401
    assert "services do not log in" in Html(answer.text).text


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("access.disable", {"account": "ada"}),
        ("access.revoke", {"account": "ada", "role": "viewer"}),
        ("access.grant", {"account": "ada", "role": "author"}),
    ],
)
def test_an_old_cookie_is_worthless_after_any_change_of_rights(
    room: Showroom, name: str, fields: dict[str, str]
) -> None:
    admin, key = person(room)
    door = visit(room, key)
    assert door.get("/models").status_code == 200
    post(admin, name, **fields)
    answer = door.get("/models")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fmodels")


def test_a_viewer_of_one_model_finds_its_pages_and_no_others(room: Showroom) -> None:
    admin = api(room)
    post(admin, "access.add", account="ada")
    post(admin, "access.grant", account="ada", role="viewer", model="arrival_delay")
    door = visit(room, post(admin, "access.create_key", account="ada")["text"])
    assert door.get("/").status_code == 200
    models = door.get("/models")
    assert models.status_code == 200
    assert "arrival_delay" in models.text
    assert "arrives_late" not in models.text
    assert door.get("/models/arrives_late").status_code == 403
    assert door.get("/system").status_code == 403


# The page of access


def fill(door: Door, path: str, **fields: str) -> Any:
    mark = Html(door.get("/access").text).fields("/theme")["csrf"]
    return door.post(path, data={"csrf": mark, **fields})


def test_an_administrator_lets_somebody_in_from_the_page(room: Showroom) -> None:
    door = browser(room)
    for path, fields in (
        ("/access/add", {"account": "ada", "kind": "person", "owner": ""}),
        ("/access/add", {"account": "ci", "kind": "service", "owner": "ada"}),
        (
            "/access/grant",
            {"account": "ci", "role": "caller", "model": "arrival_delay", "deployment": "", "lasts": "7d"},
        ),
    ):
        assert fill(door, path, **fields).status_code == 303
    made = fill(door, "/access/keys/create", account="ci", scopes="events:write predictions:write", lasts="1d")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    shown = [word for word in Html(made.text).text.split() if word.startswith("octavo_")]
    assert len(shown) == 1
    page = Html(door.get("/access").text).text
    assert "caller of the model arrival_delay, for a while" in page
    assert shown[0] not in page
    key = shown[0].split("_")[1]
    assert fill(door, f"/access/keys/{key}/revoke").status_code == 303
    assert fill(door, "/access/accounts/ci/disable").status_code == 303
    assert fill(door, "/access/accounts/ci/enable").status_code == 303
    refused = fill(door, "/access/grant", account="ci", role="emperor")
    assert (refused.status_code, "no role" in refused.text) == (409, True)


def test_an_auditor_sees_the_page_and_changes_nothing(room: Showroom) -> None:
    _, key = person(room, role="auditor")
    door = visit(room, key)
    page = door.get("/access")
    assert page.status_code == 200
    assert "/access/grant" not in page.text
    assert fill(door, "/access/grant", account="ada", role="admin").status_code == 403


def test_behind_a_proxy_the_cookie_belongs_to_this_host_alone(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    config: Config = replace(room.context.config, control=ControlSettings(behind_proxy=True))
    ensure_admin(config.home)
    door = Door(Showroom(context=replace(room.context, config=config), text=""), headers=BROWSER)
    answer = door.get("/login", params={"token": issue_login(config.home)})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-octavo_session=")
    assert all(word in cookie for word in ("Secure", "Path=/", "HttpOnly", "SameSite=strict"))
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost", 303), ("http://evil.example", 403), ("null", 403), ("https://localhost:1", 403)],
)
def test_where_a_browser_tells_no_site_the_origin_must_be_this_one(room: Showroom, origin: str, status: int) -> None:
    door = browser(room)
    mark = Html(door.get("/").text).fields("/theme")["csrf"]
    old = Door(
        room,
        headers={"accept": "text/html", "origin": origin, "cookie": f"octavo_session={door.cookies['octavo_session']}"},
    )
    assert old.post("/theme", data={"theme": "dark", "csrf": mark}).status_code == status
