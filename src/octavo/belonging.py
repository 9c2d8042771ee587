"""What a request is about, for rights that are limited to some models and deployments.

Nothing is asked of the slices: the fields by which requests name things are known, and how each thing belongs to a
model and a deployment is told once, where everything is put together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from octavo.principals import Principal

About = Mapping[str, str]
"""One thing with what it belongs to, as `Principal.may` takes it: ``{"deployment": "eta", "model": "delay"}``."""

Belongs = Callable[[str, Any], About | None]
"""Takes a thing's name or id and the `Context`; None if there is no such thing, or it belongs to nothing."""

_OWN = ("deployment", "model", "composite")
_WITHIN = ("state", "release")
"""What says to which model and deployment a thing belongs: fields of its own, or of its state or release."""


def itself(about: str) -> Belongs:
    """How what is a model or a deployment belongs: to itself."""
    return lambda name, _: {about: name}


def naming_fields(request: type, belongings: Mapping[str, Belongs]) -> tuple[str, ...]:
    """The fields of a request that say what it is about, in their order."""
    return tuple(field.name for field in fields(request) if field.name in belongings)


def things_of(request: object, belongings: Mapping[str, Belongs], context: object) -> list[About | None]:
    """What a request names, each with what it belongs to; None for what belongs to nothing. Empty if it names nothing.

    A request that names several things is about each of them.
    """
    return [
        belongings[field](name, context)
        for field in naming_fields(type(request), belongings)
        for name in _names(getattr(request, field))
    ]


def _names(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, Sequence):
        yield from (item for item in value if isinstance(item, str))


@cache
def is_listing(function: Callable[..., Any]) -> bool:
    """Whether a function answers with a tuple of things that each say to which model or deployment they belong."""
    answer = get_type_hints(function).get("return")
    if get_origin(answer) is not tuple:
        return False
    return _says_its_own(get_args(answer)[0])


def _says_its_own(kind: Any) -> bool:
    names = _field_names(kind)
    if names & set(_OWN):
        return True
    inner = [get_type_hints(kind)[name] for name in _WITHIN if name in names]
    return any(_field_names(told) & set(_OWN) for told in inner)


def _field_names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)} if is_dataclass(kind) else set()


def may_see(item: object, principal: Principal, permission: str) -> bool:
    """Whether an item of a listing is about something about which the caller has a permission."""
    told = next((one for one in (item, *(getattr(item, name, None) for name in _WITHIN)) if _tells(one)), None)
    about = {name: value for name in _OWN if isinstance(value := getattr(told, name, None), str)}
    if "composite" in about:
        about["deployment"] = about.pop("composite")
    return principal.may(permission, about=about)


def _tells(item: object) -> bool:
    return any(hasattr(item, name) for name in _OWN)
