"""Templates: what is not given is an error, what is given is escaped."""

import pytest
from jinja2 import UndefinedError, nodes
from tests.showrooms import HOSTILE, NOW
from tests.showrooms.doors import Html

from octavo.console.navigation import navigation
from octavo.console.rendering import _environment, error_page, login_page, render, welcome_page
from octavo.console.visits import VISIT, Visit
from octavo.operations import Principal


def visit(*permissions: str, path: str = "/audit") -> Visit:
    return Visit(
        call=lambda name, **fields: (),
        principal=Principal(name=f"{HOSTILE}/1", permissions=frozenset(permissions)),
        path=path,
        now=NOW,
        project=HOSTILE,
        replay=False,
        csrf="c",
    )


@pytest.mark.parametrize("name", sorted(_environment().list_templates(extensions=["html"])))
def test_a_template_uses_only_filters_that_there_are(name: str) -> None:
    environment = _environment()
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    used = {node.name for node in environment.parse(source).find_all(nodes.Filter)}
    assert used <= set(environment.filters)


def test_a_template_that_lacks_something_fails_instead_of_showing_nothing() -> None:
    with pytest.raises(UndefinedError, match="rows"):
        render(visit(), "sources.html", title="Sources")


def test_the_frame_escapes_what_it_shows() -> None:
    found = Html(render(visit(), "sources.html", title=HOSTILE, rows=[], dead={}).html)
    assert found.text.count(HOSTILE) >= 3
    assert not [a for tag, a in found.elements if tag == "img" and a["src"] == "x"]


@pytest.mark.parametrize(
    "html",
    [
        error_page(status=404, message=HOSTILE, fix=HOSTILE, request_id=HOSTILE, theme="dark"),
        login_page(back=HOSTILE, theme="dark", problem=HOSTILE),
        welcome_page(back=HOSTILE, theme="dark"),
    ],
)
def test_pages_without_a_visitor_escape_too(html: str) -> None:
    assert not [a for tag, a in Html(html).elements if tag == "img" and a["src"] == "x"]
    assert 'class="theme-dark"' in html


def test_a_visitor_sees_ways_that_are_open_only() -> None:
    groups = navigation(visit("models:read", path="/models/eta/2"))
    assert [(g.label, [link.label for link in g.links]) for g in groups] == [
        ("Build", ["Runs"]),
        ("Ship", ["Models", "History"]),
        ("Watch", ["Lineage"]),
    ]
    assert [link.label for g in groups for link in g.links if link.is_current] == ["Models"]


def test_home_is_current_only_at_home() -> None:
    for path, is_current in (("/", True), ("/deployments", False)):
        [now] = navigation(visit(VISIT, path=path))
        assert [link.is_current for link in now.links] == [is_current]
