"""A project's modules as they travel in bundles: run under names of their own, and what is declared in them."""

import importlib.util
import linecache
import sys
from pathlib import PurePath
from types import ModuleType

from octavo.definitions.features import OnDemand
from octavo.errors import IntegrityError


def functions_in(module: ModuleType) -> dict[str, OnDemand]:
    """The functions that a module declares, by name."""
    return {item.name: item for item in vars(module).values() if isinstance(item, OnDemand)}


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
