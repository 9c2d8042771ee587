"""From what a page found to HTML: one environment of templates, in which everything is escaped and nothing undefined.

Templates know no operation and compute nothing; what they show is made by the page before.
"""

import hashlib
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from octavo.console import formatting
from octavo.console.navigation import navigation
from octavo.console.status import badge
from octavo.console.visits import Reply, Visit

_FILTERS = (
    formatting.number,
    formatting.whole,
    formatting.decimal,
    formatting.percent,
    formatting.signed,
    formatting.interval,
    formatting.duration,
    formatting.size,
    formatting.microseconds,
    formatting.moment,
    formatting.short,
    formatting.linked,
    formatting.listed,
    formatting.words,
    formatting.plural,
    formatting.sentence,
    badge,
)


def render(visit: Visit, template: str, *, title: str, status: int = 200, **data: Any) -> Reply:
    """A page within the console's frame.

    Parameters
    ----------
    template : str
        Its file below ``templates/``.
    title : str
        Of the page, as it stands in its heading and in the browser.
    data
        What the template shows; one that it names and is not given is an error.
    """

    def ago(at: datetime | None) -> Markup:
        return formatting.ago(at, visit.now)

    html = _environment().get_template(template)
    text = html.render(visit=visit, navigation=navigation(visit), title=title, theme=visit.theme, ago=ago, **data)
    return Reply(html=text, status=status)


def render_alone(template: str, **data: Any) -> str:
    """A document without the console's frame."""
    return _environment().get_template(template).render(**data)


def error_page(*, status: int, message: str, fix: str | None, request_id: str, theme: str) -> str:
    """What a visitor reads when a page could not be shown."""
    template = _environment().get_template("error.html")
    return template.render(status=status, message=message, fix=fix, request_id=request_id, theme=theme)


def login_page(*, back: str, theme: str, problem: str = "", provider: str = "") -> str:
    """The way in; `back` is where it leads, `provider` whom one can log in by besides."""
    template = _environment().get_template("login.html")
    return template.render(back=back, theme=theme, problem=problem, provider=provider)


def welcome_page(*, back: str, theme: str) -> str:
    """A page that goes on to `back` by itself."""
    return _environment().get_template("welcome.html").render(back=back, theme=theme)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("octavo.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    environment.globals["style_version"] = _digest("console.css")
    return environment


def _digest(name: str) -> str:
    """Changes with the file, so that browsers keep it as long as it stays the same."""
    return hashlib.sha256(files("octavo.console").joinpath("static", name).read_bytes()).hexdigest()[:12]
