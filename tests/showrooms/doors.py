"""The control process's application over a showroom, called in one process."""

import asyncio
from collections.abc import Collection, Mapping
from html.parser import HTMLParser
from typing import Any

import httpx

from octavo.access import ensure_admin, issue_login, local_token, project_access
from octavo.api.app import build_app
from octavo.operations import Dispatcher
from octavo.wiring import all_operations
from tests.showrooms import Showroom

BROWSER = {"accept": "text/html", "sec-fetch-site": "same-origin"}


class Door:
    """Sends requests to the application, keeps cookies, follows no redirect."""

    def __init__(self, room: Showroom, *, headers: Mapping[str, str] | None = None) -> None:
        app = build_app(room.context, Dispatcher(all_operations(), room.context))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request; takes what `httpx.Client.request` takes."""
        return asyncio.run(self._client.request(method, path, **more))


def api(room: Showroom, *, permissions: Collection[str] | None = None) -> Door:
    """A program with a token: the administrator's, or one with these permissions only."""
    home = room.context.config.home
    ensure_admin(home)
    token = local_token(home)
    if permissions is not None:
        token = project_access(home).issue(name="eve", permissions=permissions)
    return Door(room, headers={"authorization": f"Bearer {token}"})


def stranger(room: Showroom) -> Door:
    """A program without a token."""
    return Door(room)


def browser(room: Showroom, *, permissions: Collection[str] | None = None) -> Door:
    """A browser that is logged in."""
    home = room.context.config.home
    ensure_admin(home)
    door = Door(room, headers=BROWSER)
    if permissions is None:
        door.get("/login", params={"token": issue_login(home)})
    else:
        door.post("/login", data={"token": project_access(home).issue(name="eve", permissions=permissions)})
    return door


class Html(HTMLParser):
    """What tests ask of a page: its elements with their attributes, its links, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def links(self) -> list[str]:
        return [attributes["href"] or "" for tag, attributes in self.elements if tag == "a"]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def fields(self, action: str) -> dict[str, str]:
        """The hidden fields of the first form with that action."""
        start = next(i for i, (tag, a) in enumerate(self.elements) if tag == "form" and a.get("action") == action)
        found = {}
        for tag, attributes in self.elements[start + 1 :]:
            if tag == "form":
                break
            if tag == "input" and attributes.get("type") == "hidden":
                found[attributes["name"] or ""] = attributes.get("value") or ""
        return found
