"""Sessions are kept by the platform and end with what they began by; none carries more than that."""

from pathlib import Path

import pytest

from tests.security.sites import mark_of, post, visitor_of
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import BROWSER, Door, api


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    room = empty_showroom(tmp_path)
    post(api(room), "access.add", account="ada")
    post(api(room), "access.grant", account="ada", role="admin")
    return room


def key_of(room: Showroom, *scopes: str) -> str:
    text: str = post(api(room), "access.create_key", account="ada", scopes=list(scopes))["text"]
    return text


def test_a_session_that_began_by_a_key_carries_no_more_than_the_key(room: Showroom) -> None:
    """Or whoever finds a key for one thing logs in and may everything."""
    door = visitor_of(room, key_of(room, "models:read"))
    assert door.get("/models").status_code == 200
    for path in ("/audit", "/access", "/system", "/deployments"):
        assert door.get(path).status_code == 403, path
    mark = mark_of(door)
    sent = {"csrf": mark, "account": "mallory", "kind": "person", "owner": ""}
    assert door.post("/access/add", data=sent).status_code == 403


@pytest.mark.parametrize("end", ["revoke_key", "disable", "revoke", "grant", "logout"])
def test_an_old_cookie_is_worthless_after_each_event(room: Showroom, end: str) -> None:
    key, admin = key_of(room), api(room)
    door = visitor_of(room, key)
    assert door.get("/models").status_code == 200
    cookie = door.cookies["octavo_session"]
    if end == "logout":
        door.post("/logout", data={"csrf": mark_of(door)})
    else:
        named = {"revoke_key": {"key": key.split("_")[1]}, "disable": {"account": "ada"}}
        post(
            admin,
            f"access.{end}",
            **named.get(end, {"account": "ada", "role": "admin" if end == "revoke" else "viewer"}),
        )
    again = Door(room, headers={**BROWSER, "cookie": f"octavo_session={cookie}"})
    answer = again.get("/models")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fmodels")


def test_a_cookie_that_was_made_up_is_nobodys(room: Showroom) -> None:
    for cookie in ("0" * 64, "", "account:ada", "key:x", "ada", "../../token"):
        assert Door(room, headers={**BROWSER, "cookie": f"octavo_session={cookie}"}).get("/models").status_code == 303
