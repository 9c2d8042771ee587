"""The console in a real browser: no dead link, nothing that its policy forbids, readable in every theme and width."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urlsplit

import pytest
import uvicorn

from octavo.access import ensure_admin, issue_login
from octavo.api.app import build_app
from octavo.console.pages import all_pages
from octavo.operations import Dispatcher
from octavo.wiring import all_operations
from tests.servers import program
from tests.showrooms import Showroom, full_showroom, incident_id, prediction_id, run_id

sync_api = pytest.importorskip("playwright.sync_api")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
MOST_OF_MANY = 3
SECTIONS = {page.path.split("/")[1] for page in all_pages()}
EXAMPLES = [
    "/",
    "/deployments/eta",
    "/deployments/late",
    "/composites/trouble",
    "/approvals",
    "/models/arrival_delay",
    "/models/arrival_delay/2",
    "/monitoring/eta",
    f"/incidents/{incident_id(2)}",
    "/predictions",
    f"/predictions/{prediction_id(40)}",
    f"/runs/{run_id(5)}",
    "/features/origin_landings",
    "/sources",
    "/audit",
    "/system",
    "/nowhere",
]
"""One page of each kind."""

SPY = """window.violations = [];
document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective + e.blockedURI));
"""


@dataclass
class Visitor:
    """A logged in browser, and everything about its visit that should not have happened."""

    page: "sync_api.Page"
    origin: str
    complaints: list[str] = field(default_factory=list)

    def note_message(self, message: "sync_api.ConsoleMessage") -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} {message.location['url']}")

    def note_request(self, request: "sync_api.Request") -> None:
        if not request.url.startswith(self.origin):
            self.complaints.append(f"asked elsewhere: {request.url}")

    def visit(self, path: str, *, status: int = 200) -> None:
        answer = self.page.goto(self.origin + path)
        if answer is None or answer.status != status:
            self.complaints.append(f"{path}: {answer.status if answer else 'no answer'}")
        self.complaints += [f"{path}: {found}" for found in self.page.evaluate("window.violations")]

    def links(self) -> set[str]:
        """Paths on this site that the page links to."""
        whole = "all => all.map(a => new URL(a.getAttribute('href'), location).href)"
        found: list[str] = self.page.eval_on_selector_all("a[href]:not([download])", whole)
        return {urldefrag(link)[0].removeprefix(self.origin) for link in found if link.startswith(self.origin)}


@contextmanager
def serving(room: Showroom) -> Iterator[str]:
    """The application on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = build_app(room.context, Dispatcher(all_operations(), room.context))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator["sync_api.Browser"]:
    executable = program("chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    room = full_showroom(tmp_path_factory.mktemp("project"))
    ensure_admin(room.context.config.home)
    return room


@pytest.fixture(scope="module")
def origin(room: Showroom) -> Iterator[str]:
    with serving(room) as address:
        yield address


@contextmanager
def visiting(chromium: "sync_api.Browser", room: Showroom, origin: str, **options: object) -> Iterator[Visitor]:
    with chromium.new_context(**options) as context:
        context.add_init_script(SPY)
        visitor = Visitor(page=context.new_page(), origin=origin)
        visitor.page.on("console", visitor.note_message)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        visitor.page.on("request", visitor.note_request)
        visitor.page.goto(f"{origin}/login?token={issue_login(room.context.config.home)}")
        visitor.page.wait_for_url(f"{origin}/")
        yield visitor


def test_every_link_leads_somewhere_and_nothing_is_violated(
    chromium: "sync_api.Browser", room: Showroom, origin: str
) -> None:
    with visiting(chromium, room, origin) as visitor:
        seen, waiting = {"/"}, ["/"]
        while waiting:
            visitor.visit(waiting.pop(0))
            new = sorted(visitor.links() - seen)
            seen.update(new)
            # Of the very many predictions, and ways to find them, a few will do.
            many = [path for path in new if path.startswith("/predictions")]
            waiting += [path for path in new if path not in many[MOST_OF_MANY:]]
        assert visitor.complaints == []
    assert {urlsplit(path).path.split("/")[1] for path in seen} >= SECTIONS


@pytest.mark.parametrize("width", [320, 768, 1440])
def test_no_page_is_wider_than_the_window(
    chromium: "sync_api.Browser", room: Showroom, origin: str, width: int
) -> None:
    with visiting(chromium, room, origin, viewport={"width": width, "height": 800}) as visitor:
        too_wide = []
        for path in EXAMPLES:
            visitor.page.goto(origin + path)
            shown = visitor.page.evaluate("document.documentElement.scrollWidth")
            too_wide += [path] if shown > width else []
        assert too_wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(
    chromium: "sync_api.Browser", room: Showroom, origin: str, scheme: str
) -> None:
    with visiting(chromium, room, origin, color_scheme=scheme) as visitor:
        faint = []
        for path in EXAMPLES:
            visitor.page.goto(origin + path)
            faint += [f"{path}: {found}" for found in visitor.page.evaluate(CONTRAST)]
        assert faint == []


CONTRAST = """() => {
  const canvas = document.createElement('canvas'), paint = canvas.getContext('2d', {willReadFrequently: true});
  canvas.width = canvas.height = 1;
  const rgb = color => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = color; paint.fillRect(0, 0, 1, 1);
    return Array.from(paint.getImageData(0, 0, 1, 1).data);
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgb(getComputedStyle(document.body).backgroundColor);
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = Array.from(element.childNodes).some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('svg') || element.closest('.unseen, legend')) continue;
    const a = light(rgb(getComputedStyle(element).color)), b = light(ground(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return faint;
}"""


def test_everything_can_be_reached_and_seen_by_keyboard(
    chromium: "sync_api.Browser", room: Showroom, origin: str
) -> None:
    with visiting(chromium, room, origin) as visitor:
        visitor.page.goto(f"{origin}/deployments/late")
        visitor.page.keyboard.press("Tab")
        assert visitor.page.evaluate("document.activeElement.className") == "skip"
        reached = []
        for _ in range(60):
            visitor.page.keyboard.press("Tab")
            reached.append(visitor.page.evaluate("document.activeElement.textContent.trim()"))
            outline = visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", reached[-1]
            if reached[-1] == "End this release":
                break
        assert {"Home", "Log out", "Hold it where it is", "Stop: ask no model", "End this release"} <= set(reached)


def test_targets_are_large_enough_to_hit(chromium: "sync_api.Browser", room: Showroom, origin: str) -> None:
    with visiting(chromium, room, origin, viewport={"width": 320, "height": 800}) as visitor:
        visitor.page.goto(f"{origin}/deployments/late")
        sizes = visitor.page.eval_on_selector_all(
            "button, input:not([type=hidden]), select, nav a", "all => all.map(e => e.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 24


def test_the_theme_that_was_chosen_stays(chromium: "sync_api.Browser", room: Showroom, origin: str) -> None:
    with visiting(chromium, room, origin, color_scheme="light") as visitor:
        ground = "getComputedStyle(document.body).backgroundColor"
        before = visitor.page.evaluate(ground)
        visitor.page.goto(f"{origin}/models")
        visitor.page.get_by_role("button", name="dark").click()
        visitor.page.wait_for_url(f"{origin}/models")
        assert visitor.page.evaluate(ground) != before


def test_the_console_works_without_scripts(chromium: "sync_api.Browser", room: Showroom, origin: str) -> None:
    with visiting(chromium, room, origin, java_script_enabled=False) as visitor:
        visitor.page.goto(f"{origin}/deployments/spare")
        visitor.page.get_by_label("Version").select_option("version 2")
        visitor.page.get_by_role("button", name="Release").click()
        visitor.page.wait_for_url(f"{origin}/deployments/spare")
        assert "Release of version 2" in visitor.page.inner_text("main")
