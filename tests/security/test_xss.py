"""Nothing that anybody wrote, logged or named becomes markup, script or style in a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest

from octavo.access import ensure_admin, issue_login
from octavo.console.prose import prose
from tests.integration.console.test_browser import ARGUMENTS, SPY, serving, sync_api
from tests.security.sites import FILES, MLFLOW, Raw, mark_of, post
from tests.servers import program
from tests.showrooms import Showroom, full_showroom, incident_id, prediction_id, run_id
from tests.showrooms.doors import Door, Html, api, browser
from tests.unit.console.test_pages import ADDRESSES

PAYLOADS = [
    "<script>window.ran=1</script>", "<img src=x onerror=window.ran=1>", "<svg/onload=window.ran=1>",
    "\"><b id=planted>",
    "'><iframe srcdoc='<script>parent.ran=1</script>'>", "javascript:window.ran=1",
    "</textarea><script>window.ran=1</script>",
    "</title><script>window.ran=1</script>", "--><script>window.ran=1</script>", "`onmouseover=window.ran=1 x=`",
    "\" autofocus onfocus=window.ran=1 x=\"", "' style='x:expression(window.ran=1)", "]]><script>window.ran=1</script>",
    "<a href='data:text/html,<script>window.ran=1</script>'>x</a>", "{{constructor.constructor('window.ran=1')()}}",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=window.ran=1>", "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>", "<form action=//evil.example><button>x",
    "<link rel=stylesheet href=//evil.example>", "\u2028<script>window.ran=1</script>",
    "%3Cscript%3Ewindow.ran=1%3C/script%3E",
    "&lt;script&gt;window.ran=1&lt;/script&gt;", "<ScRiPt>window.ran=1</sCrIpT>", "<x/onclick=window.ran=1>",
]  # fmt: skip
ALL = " ".join(PAYLOADS)
PLANTED = {"script", "iframe", "base", "math", "mglyph", "style", "x"}
PLACES = [place for places in ADDRESSES.values() for place in places]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    """Every word of a person or a caller is all payloads, and so is all that a program may log."""
    room = full_showroom(tmp_path_factory.mktemp("hostile"), text=ALL)
    ensure_admin(room.context.config.home)
    admin = api(room)
    for number, payload in enumerate(PAYLOADS):
        run = admin.post("/api/runs.create", json={"name": payload.replace("\u2028", ""), "experiment": f"e{number}"})
        made = run.json()["id"]
        post(admin, "runs.log", run=made, tags={"t": payload, "mlflow.note.content": payload}, params={"p": payload})
        post(admin, "runs.end", run=made, status="failed", error=payload)
        post(admin, "registered.create", name=f"r{number}", description=payload, tags={"t": payload})
    for named in ("(window.ran=1)", "a=b onerror=1", "x,y#z~%3Cscript%3E"):
        admin.request(
            "PUT", f"{FILES}/0/{run_id(5)}/artifacts/{named.replace('#', '%23').replace('%3C', '%253C')}", content=b"x"
        )
    return room


@pytest.fixture(scope="module")
def door(room: Showroom) -> Door:
    return browser(room)


def check(html: str, path: str) -> None:
    page = Html(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & PLANTED, (path, tags & PLANTED)
    attributes = [(tag, name, value) for tag, given in page.elements for name, value in given.items()]
    assert not [one for one in attributes if one[1].startswith("on") or one[1] in ("style", "srcdoc")], path
    assert not [one for one in attributes if one[2] == "planted"], path
    addresses = [value or "" for _, name, value in attributes if name in ("href", "src", "action", "formaction")]
    outside = [one for one in addresses if re.match(r"\s*([a-z][a-z0-9+.-]*:|//|\\)", one, re.IGNORECASE)]
    assert outside == [], path
    refreshing = [given for tag, given in page.elements if tag == "meta" and "http-equiv" in given]
    assert all("evil" not in str(given) for given in refreshing), path


@pytest.mark.parametrize("path", PLACES)
def test_no_page_makes_markup_of_what_was_written(door: Door, path: str) -> None:
    answer = door.get(path)
    assert answer.status_code == 200, answer.text
    check(answer.text, path)


@pytest.mark.parametrize("payload", PAYLOADS[::2])
def test_what_stands_in_an_address_or_a_form_is_text_too(door: Door, payload: str) -> None:
    paths = ["/runs", "/predictions", "/audit", "/lineage", "/history", "/login", "/models/x", "/nowhere"]
    names = [
        "where",
        "sort",
        "model",
        "id",
        "deployment",
        "entity",
        "before",
        "actor",
        "node",
        "at",
        "next",
        "base",
        "ids",
    ]
    for path in paths:
        answer = door.get(path, params={**dict.fromkeys(names, payload)})
        assert answer.status_code < 500, path
        check(answer.text, path)
    for path in (f"/models/{payload}", f"/runs/{payload}", f"/deployments/{payload}", f"/{payload}"):
        check(door.get(path).text, path)
    mark = mark_of(door)
    for path, field in (("/deployments/eta/rollback", "reason"), ("/access/add", "account"), ("/login", "token")):
        answer = door.post(path, data={"csrf": mark, field: payload, "kind": "person", "next": payload})
        if answer.status_code != 303:
            check(answer.text, path)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_card_is_prose_and_no_markup(payload: str) -> None:
    for text in (
        payload,
        f"# {payload}",
        f"- {payload}",
        f"| {payload} | x |\n|---|---|\n| {payload} | y |",
        f"`{payload}`",
    ):
        check(str(prose(text)), text)


def test_no_template_takes_a_text_for_markup() -> None:
    """Everything is escaped, and no filter turns that off."""
    templates = files("octavo.console").joinpath("templates")
    for template in templates.iterdir():
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|<script|\sstyle=|\son[a-z]+=", text), template.name
        unquoted = re.findall(r"<[^<>]*\s[a-z-]+=\{\{[^<>]*>", text)
        assert unquoted == [], template.name


@pytest.mark.parametrize("name", ["page.html", "image.svg", "style.css", "code.js", "model.xml", "MLmodel", "x.xhtml"])
def test_a_file_that_a_program_logged_is_never_a_page(room: Showroom, door: Door, name: str) -> None:
    admin, hostile = api(room), b"<html><script>window.ran=1</script></html>"
    assert admin.request("PUT", f"{FILES}/0/{run_id(5)}/artifacts/{name}", content=hostile).status_code == 200
    model = post(admin, "runs.models.create", experiment="e0", name="m")["id"]
    assert admin.request("PUT", f"{FILES}/1/models/{model}/artifacts/{name}", content=hostile).status_code == 200
    answers = [
        admin.get(f"{FILES}/0/{run_id(5)}/artifacts/{name}"),
        admin.get(f"{FILES}/1/models/{model}/artifacts/{name}"),
        door.get(f"/runs/{run_id(5)}/file", params={"name": name}),
    ]
    for answer in answers:
        assert answer.content == hostile
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize("name", ['a"b', "a\r\nX-Evil: 1", "a;filename=b.html", "a\u202egnp.exe"])
def test_a_name_of_a_file_makes_no_header(room: Showroom, name: str) -> None:
    ask = Raw(room)
    target = f"{FILES}/0/{run_id(5)}/artifacts/{quote(name)}"
    ask("PUT", target, b"x")
    answer = ask("GET", target)
    assert "x-evil" not in answer.headers
    assert "\n" not in answer.headers.get("content-disposition", "")
    if answer.status == 200:
        assert re.fullmatch(r"attachment; filename\*=UTF-8''[A-Za-z0-9_.~%-]+", answer.headers["content-disposition"])


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_an_api_answers_is_json_and_nothing_to_sniff(room: Showroom, payload: str) -> None:
    admin = api(room)
    for answer in (
        admin.post("/api/models.show", json={"model": payload}),
        admin.post("/api/runs.list", json={"where": payload}),
        admin.get(f"{MLFLOW}/registered-models/get", params={"name": payload}),
        admin.get("/api/nothing", params={"x": payload}),
        admin.post(f"/events/{escape('x')}", content=payload.encode()),
    ):
        assert answer.headers["content-type"].partition(";")[0] in ("application/problem+json", "application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"


@contextmanager
def visiting(room: Showroom) -> Iterator[tuple[Any, str, list[str]]]:
    """A page of a browser that is logged in, where it is, and what it asked for elsewhere."""
    elsewhere: list[str] = []
    with serving(room) as origin, sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        page = chromium.new_page()
        page.add_init_script(SPY)
        page.on("request", lambda one: None if one.url.startswith(origin) else elsewhere.append(one.url))
        page.goto(f"{origin}/login?token={issue_login(room.context.config.home)}")
        page.wait_for_url(f"{origin}/")
        yield page, origin, elsewhere
        chromium.close()


def test_in_a_browser_nothing_of_it_runs(room: Showroom) -> None:
    """The last word: no script ran, the policy had nothing to forbid, nothing was asked for elsewhere."""
    places = [
        "/runs", f"/runs/{run_id(5)}", "/models/arrival_delay/2", "/deployments/eta", "/audit?show=all", "/incidents",
        f"/incidents/{incident_id(2)}", f"/predictions/{prediction_id(0)}", "/approvals", "/sources", "/access",
        "/lineage?node=arrival_delay%2F2",
    ]  # fmt: skip
    with visiting(room) as (page, origin, elsewhere):
        for place in places:
            answer = page.goto(origin + place)
            assert answer.status == 200, place
            assert page.evaluate("window.ran") is None, place
            assert page.evaluate("window.violations") == [], place
        assert elsewhere == []
