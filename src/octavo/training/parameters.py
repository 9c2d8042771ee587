"""Hyperparameters: what a training function takes beside its rows, by name, each with a default.

They are written as text in a run's record, and read back by the kind of their default.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from octavo.definitions.models import Model
from octavo.errors import InvalidRequest

Value: TypeAlias = bool | int | float | str | None

_WORDS: Mapping[str, Value] = {"true": True, "false": False, "none": None}


def parameters_of(function: Callable[..., Any]) -> dict[str, Value]:
    """The hyperparameters of a training function with their defaults.

    Others that it takes, such as a list, keep their defaults and are not among them.
    """
    taken = list(inspect.signature(function).parameters.values())[1:]
    return {one.name: one.default for one in taken if isinstance(one.default, bool | int | float | str | None)}


def parameters_for(model: Model, texts: Mapping[str, str]) -> dict[str, Value]:
    """All hyperparameters of a model, those that are given as text, the others by default.

    Raises
    ------
    InvalidRequest
        If it has none of a name, or a text is none of its kind.
    """
    known = parameters_of(model.train)
    for name in texts:
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "it takes none"
            raise InvalidRequest(
                f"model {model.name!r} has no parameter {name!r}; {there}",
                field="params",
                fix=f"give its training function an argument with a default: def {model.name}(train, *, {name}=...)",
            )
    return {
        name: _read(texts[name], name, like=default) if name in texts else default for name, default in known.items()
    }


def parameters_on_record(model: Model, texts: Mapping[str, str]) -> dict[str, Value]:
    """All hyperparameters of a model as a run has them; what else was logged to it as a parameter is none of them."""
    known = parameters_of(model.train)
    return parameters_for(model, {name: text for name, text in texts.items() if name in known})


def written(values: Mapping[str, Value]) -> dict[str, str]:
    """Hyperparameters as text."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: Value) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _read(text: str, name: str, *, like: Value) -> Value:
    try:
        if isinstance(like, bool):
            return _bool(text)
        if isinstance(like, int):
            return int(text)
        if isinstance(like, float):
            return float(text)
    except ValueError:
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(like)]
        raise InvalidRequest(
            f"parameter {name!r} is {kind}, as its default {_text(like)} is, not {text!r}", field="params"
        ) from None
    return _guessed(text) if like is None else text


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _guessed(text: str) -> Value:
    """The value of a text where the default says nothing of its kind."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
