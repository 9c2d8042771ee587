"""A project's modules as they travel in bundles: run under names of their own, and what is declared in them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from octavo.definitions.features import OnDemand
from octavo.errors import IntegrityError


def functions_in(module: ModuleType) -> dict[str, OnDemand]:
    """The functions that a module declares, by name."""
    return {item.name: item for item in vars(module).values() if isinstance(item, OnDemand)}


def load_module(path: Path, *, name: str) -> ModuleType:
    """Run a module that travelled here, under a name of its own.

    Raises
    ------
    IntegrityError
        If it fails to load.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise IntegrityError(f"{path} in a bundle is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's module may fail in any way; this is a process boundary
        del sys.modules[name]
        raise IntegrityError(f"{path.name} in a bundle failed to load: {type(error).__name__}: {error}") from error
    return module
