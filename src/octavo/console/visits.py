"""A visit to a page and the page's reply: all that the console knows of HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from octavo.errors import NotAllowed
from octavo.operations import Principal

VISIT = "console:visit"
"""The permission of whoever is logged in."""


_LONGEST_NUMBER = 9


def is_number(text: str) -> bool:
    """Whether a part of an address or a field of a form is a number of a version."""
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody's request for a page.

    Attributes
    ----------
    call : callable
        ``call("models.show", model="eta")`` runs an operation for the visitor.
    path : str
        Of the page, without the query.
    parameters, query, form : mapping of str to str
        Of the path, the query and (for a POST) the form.
    csrf : str
        What forms of this visitor's session carry.
    theme : str
        ``auto``, ``light`` or ``dark``.
    """

    call: Callable[..., Any]
    principal: Principal
    path: str
    now: datetime
    project: str
    replay: bool
    parameters: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    csrf: str = ""
    theme: str = "auto"

    def call_if_allowed(self, permission: str, operation: str, **fields: Any) -> Any | None:
        """What an operation answers; None to a visitor without its permission, for whom a page shows less."""
        if not self.principal.may_somewhere(permission):
            return None
        try:
            return self.call(operation, **fields)
        except NotAllowed:  # they may, but not about this
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that somebody else made: a browser keeps it, and never shows it as a page of ours."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a page answers: HTML, a file, or (for a form) where to go next."""

    html: str = ""
    status: int = 200
    location: str | None = None
    download: Download | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the console.

    Attributes
    ----------
    path : str
        With parameters in braces.
    permission : str
        What the visitor must hold.
    """

    path: str
    permission: str
    show: Callable[[Visit], Reply]
    method: str = "GET"
