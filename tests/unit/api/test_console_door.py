"""The console over HTTP: the way in, forms that only its own pages can send, headers."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from tests.showrooms import Showroom, empty_showroom, incident_id
from tests.showrooms.doors import BROWSER, Door, Html, api, browser, stranger

from octavo.access import ensure_admin, issue_login, local_token
from octavo.api.app import allowed_hosts
from octavo.api.shield import CONTENT_SECURITY_POLICY
from octavo.config import Config, ControlSettings
from octavo.errors import ConfigurationError


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return empty_showroom(tmp_path)


def visitor(room: Showroom) -> Door:
    ensure_admin(room.context.config.home)
    return Door(room, headers=BROWSER)


def csrf(door: Door) -> str:
    return Html(door.get("/").text).fields("/logout")["csrf"]


# The way in


def test_a_login_link_opens_the_console_once(room: Showroom) -> None:
    door = visitor(room)
    code = issue_login(room.context.config.home)
    welcome = door.get("/login", params={"token": code, "next": "/models"})
    assert welcome.status_code == 200
    assert 'content="0;url=/models"' in welcome.text
    assert door.get("/").status_code == 200
    assert visitor(room).get("/login", params={"token": code}).status_code == 401


def test_a_token_opens_the_console(room: Showroom) -> None:
    door = visitor(room)
    answer = door.post("/login", data={"token": local_token(room.context.config.home), "next": "/runs"})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("octavo_session=", "HttpOnly", "SameSite=strict"))
    assert door.get("/runs").status_code == 200


def test_a_wrong_token_is_refused_with_the_form_again(room: Showroom) -> None:
    answer = visitor(room).post("/login", data={"token": "octavo_00000000_" + "0" * 64, "next": "/runs"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert 'value="/runs"' in answer.text


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_nobody_is_led_away_by_the_way_in(room: Showroom, place: str) -> None:
    door = visitor(room)
    welcome = door.get("/login", params={"token": issue_login(room.context.config.home), "next": place})
    assert 'content="0;url=/"' in welcome.text


def test_a_deep_link_is_found_again_after_logging_in(room: Showroom) -> None:
    answer = visitor(room).get("/predictions?deployment=eta&entity=origin%3DJFK")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fpredictions%3Fdeployment%3Deta%26entity%3Dorigin%253DJFK"


def test_a_session_ends_by_logging_out(room: Showroom) -> None:
    door = browser(room)
    cookie = door.cookies["octavo_session"]
    assert door.post("/logout", data={"csrf": csrf(door)}).headers["location"] == "/login"
    again = Door(room, headers={**BROWSER, "cookie": f"octavo_session={cookie}"})
    assert again.get("/").status_code == 303


def test_behind_a_proxy_the_cookie_travels_by_https_only(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    config = replace(room.context.config, control=ControlSettings(behind_proxy=True))
    proxied = Showroom(context=replace(room.context, config=config), text="")
    door = visitor(proxied)
    answer = door.post("/login", data={"token": local_token(config.home)}, headers={"host": "octavo.example"})
    assert "Secure" in answer.headers["set-cookie"]


# Forms


FORMS = [
    ("/theme", {"theme": "dark"}),
    ("/logout", {}),
    ("/deployments/eta/rollback", {"reason": "test"}),
    (f"/incidents/{incident_id(2)}/resolve", {"cause": "test"}),
    ("/models/arrival_delay/train", {}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
@pytest.mark.parametrize("given", ["", "0" * 64, "é"])
def test_a_form_without_the_sessions_mark_is_refused(
    room: Showroom, path: str, fields: dict[str, str], given: str
) -> None:
    assert browser(room).post(path, data={**fields, "csrf": given}).status_code == 403


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_a_form_from_another_site_is_refused(room: Showroom, path: str, fields: dict[str, str]) -> None:
    door = browser(room)
    sent = {**fields, "csrf": csrf(door)}
    assert door.post(path, data=sent, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_a_form_of_another_session_is_refused(room: Showroom) -> None:
    theirs = csrf(browser(room))
    assert browser(room).post("/theme", data={"theme": "dark", "csrf": theirs}).status_code == 403


def test_a_form_that_is_absurd_is_refused(room: Showroom) -> None:
    door = browser(room)
    assert door.post("/theme", content=b"a=" + b"x" * 30_000).status_code == 413
    assert door.post("/theme", content=b"&".join(b"a=1" for _ in range(60))).status_code == 422
    assert door.post("/theme", content=b"\xff").status_code == 422


def test_a_cookie_does_not_open_the_api(room: Showroom) -> None:
    assert browser(room).post("/api/models.list", json={}).status_code == 401


def test_a_token_does_not_open_the_console(room: Showroom) -> None:
    assert api(room).get("/models", headers={"accept": "text/html"}).status_code == 303


# What every page carries


def test_the_theme_is_remembered(room: Showroom) -> None:
    door = browser(room)
    answer = door.post("/theme", data={"theme": "dark", "next": "/models", "csrf": csrf(door)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    assert 'class="theme-dark"' in door.get("/models").text
    door.post("/theme", data={"theme": "<b>", "csrf": csrf(door)})
    assert 'class="theme-dark"' in door.get("/models").text


@pytest.mark.parametrize("path", ["/", "/login", "/static/console.css", "/api/nothing", "/livez", "/nowhere"])
def test_every_answer_is_shielded(room: Showroom, path: str) -> None:
    headers = browser(room).get(path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_pages_are_not_kept_by_browsers_and_the_style_is(room: Showroom) -> None:
    door = browser(room)
    assert door.get("/models").headers["cache-control"] == "no-store"
    assert "max-age" in door.get("/static/icon.svg").headers["cache-control"]
    assert door.get("/static/nothing.css").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "local host"])
def test_a_name_that_is_not_ours_is_refused(room: Showroom, host: str) -> None:
    answer = stranger(room).get("/livez", headers={"host": host})
    assert answer.status_code == 421
    assert answer.json()["code"] == "host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"])
def test_our_own_names_are_served(room: Showroom, host: str) -> None:
    assert stranger(room).get("/livez", headers={"host": host}).status_code == 200


def test_a_bind_beyond_this_machine_needs_a_proxy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="proxy with TLS"):
        allowed_hosts(Config(root=tmp_path, control=ControlSettings(host="0.0.0.0")))
    assert allowed_hosts(Config(root=tmp_path, control=ControlSettings(host="0.0.0.0", behind_proxy=True))) is None


class Broken:
    """A store that fails in a way that no adapter foresees."""

    def transaction(self) -> NoReturn:
        raise ValueError("a secret")

    def close(self) -> None:
        """Nothing is held."""


def test_an_error_that_nobody_foresaw_keeps_its_text(room: Showroom, caplog: pytest.LogCaptureFixture) -> None:
    cookie = browser(room).cookies["octavo_session"]
    broken = replace(room.context, stores=replace(room.stores, metadata=Broken()))
    door = Door(Showroom(context=broken, text=""), headers={**BROWSER, "cookie": f"octavo_session={cookie}"})
    answer = door.get("/deployments")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert next(record.exc_info[0] for record in caplog.records if record.exc_info) is ValueError
