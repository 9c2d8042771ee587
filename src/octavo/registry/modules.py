"""A project's modules as they travel in bundles: run under names of their own, and what is declared in them."""

import importlib.util
import linecache
import sys
from collections.abc import Mapping
from pathlib import PurePath
from types import ModuleType

from octavo.definitions.answers import AfterModel, words_of_answer
from octavo.definitions.features import OnDemand
from octavo.errors import IntegrityError


def functions_in(module: ModuleType) -> dict[str, OnDemand]:
    """The functions that a module declares, by name."""
    return {item.name: item for item in vars(module).values() if isinstance(item, OnDemand)}


def answers_in(module: ModuleType) -> dict[str, AfterModel]:
    """What comes after models, of a module, by name."""
    return {item.name: item for item in vars(module).values() if isinstance(item, AfterModel)}


def find_answer(found: Mapping[str, AfterModel], *, name: str, inputs: tuple[str, ...], of: str) -> AfterModel:
    """The function of a plan among those of its code.

    Parameters
    ----------
    of : str
        Whose code it is, for those who read errors.

    Raises
    ------
    IntegrityError
        If it is not there, or takes something else there.
    """
    function = found.get(name)
    if function is None:
        raise IntegrityError(f"the code of {of} lacks {name!r}, which comes after the model")
    if function.inputs != inputs:
        raise IntegrityError(
            f"the code of {of} has {function}, and the plan {words_of_answer(name, inputs)}; pack it again"
        )
    return function


def load_module(source: bytes, *, name: str, path: str) -> ModuleType:
    """Run a module that travelled here, under a name of its own; its file is not looked at.

    Parameters
    ----------
    source : bytes
        What was verified.
    path : str
        Where it came from, for those who read errors.

    Raises
    ------
    IntegrityError
        If it fails to load.
    """
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    try:
        text = importlib.util.decode_source(source)
        # What a function's source is asked for by `inspect`, and what tracebacks show, is what runs.
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        exec(compile(text, path, "exec", dont_inherit=True), vars(module))
    except Exception as error:  # a user's module may fail in any way; this is a process boundary
        del sys.modules[name]
        file = PurePath(path).name
        raise IntegrityError(f"{file} in a bundle failed to load: {type(error).__name__}: {error}") from error
    return module
