"""The on-demand functions of a bundle, from the project's module that travels in it."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from octavo.definitions.features import OnDemand
from octavo.errors import IntegrityError
from octavo.registry.bundles import Bundle


def load_functions(bundle: Bundle) -> tuple[tuple[OnDemand, ...], str]:
    """The on-demand features of the plan, in its order, and the digest of the code that holds them.

    The module is loaded under a name of its own, so that versions with different code stand side by side. A plan
    without on-demand features loads no code.

    Raises
    ------
    IntegrityError
        If the code fails to load or lacks a function.
    """
    if not bundle.plan.functions:
        return (), ""
    found: dict[str, OnDemand] = {}
    digest = hashlib.sha256()
    for _, path in sorted(bundle.code.items()):
        digest.update(path.read_bytes())
    for module in load_modules(bundle):
        found |= functions_in(module)
    missing = [function.name for function in bundle.plan.functions if function.name not in found]
    if missing:
        raise IntegrityError(f"bundle {bundle.digest}: its code lacks the on-demand features {', '.join(missing)}")
    return tuple(found[function.name] for function in bundle.plan.functions), digest.hexdigest()


def load_modules(bundle: Bundle) -> tuple[ModuleType, ...]:
    """The project's modules as they were when the bundle was packed, each under a name of its own.

    Raises
    ------
    IntegrityError
        If one fails to load.
    """
    name = f"octavo_bundle_{bundle.digest.removeprefix('sha256:')[:16]}"
    return tuple(load_module(path, name=f"{name}_{path.stem}") for _, path in sorted(bundle.code.items()))


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
