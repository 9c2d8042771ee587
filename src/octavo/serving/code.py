"""The on-demand functions of a bundle, from the project's modules that travel in it."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import ModuleType

from octavo.definitions.features import OnDemand
from octavo.definitions.types import DType
from octavo.errors import IntegrityError
from octavo.registry.bundles import Bundle
from octavo.serving.functions import Functions, FunctionsHere
from octavo.serving.modules import functions_in, load_module


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Modules, and the functions in them that are wanted.

    Attributes
    ----------
    of : str
        Whose they are, for those who read errors.
    modules : tuple of (str, str, bytes)
        A name of its own for each, where it came from, and its proven bytes, which are what runs.
    functions : tuple of (str, tuple of str)
        The name and the inputs of each.
    dtypes : mapping of name to DType
        Of those inputs that are no floats.
    digest : str
        Of all modules.
    is_chained : bool
        Whether they take each other's values, and are computed together.
    """

    of: str
    modules: tuple[tuple[str, str, bytes], ...] = field(repr=False)
    functions: tuple[tuple[str, tuple[str, ...]], ...]
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    digest: str
    is_chained: bool = True


OpenFunctions = Callable[[Code], Functions]


def code_of(bundle: Bundle) -> Code:
    """The functions of a bundle's plan; without functions there is no code, whatever travels with it."""
    plan = bundle.plan
    functions = tuple((function.name, function.inputs) for function in plan.functions)
    return Code(
        of=f"model {plan.model!r}",
        modules=_named(bundle) if functions else (),
        functions=functions,
        dtypes={one.name: one.dtype for one in plan.fields},
        digest=digest_of_code(source for _, source in sorted(bundle.code.items())) if functions else "",
    )


def digest_of_code(sources: Iterable[bytes]) -> str:
    """Of modules, in the order of their names."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source)
    return digest.hexdigest()


def run_here(code: Code) -> Functions:
    """Functions that run in this very process, for one that serves nobody else.

    Raises
    ------
    IntegrityError
        If the code fails to load or lacks a function.
    """
    return FunctionsHere(_declared(code))


def load_functions(bundle: Bundle) -> tuple[OnDemand, ...]:
    """The on-demand features of the plan, in its order, loaded into this very process.

    Modules are loaded under names of their own, so that versions with different code stand side by side. A plan
    without on-demand features loads no code.

    Raises
    ------
    IntegrityError
        If the code fails to load or lacks a function.
    """
    return _declared(code_of(bundle))


def load_modules(bundle: Bundle) -> tuple[ModuleType, ...]:
    """The project's modules as they were when the bundle was packed, each under a name of its own.

    Raises
    ------
    IntegrityError
        If one fails to load.
    """
    return tuple(load_module(source, name=name, path=path) for name, path, source in _named(bundle))


def _named(bundle: Bundle) -> tuple[tuple[str, str, bytes], ...]:
    name, folder = f"octavo_bundle_{bundle.digest.removeprefix('sha256:')[:16]}", bundle.path / "code"
    return tuple(
        (f"{name}_{PurePath(file).stem}", str(folder / file), source) for file, source in sorted(bundle.code.items())
    )


def _declared(code: Code) -> tuple[OnDemand, ...]:
    found: dict[str, OnDemand] = {}
    for name, path, source in code.modules:
        found |= functions_in(load_module(source, name=name, path=path))
    missing = [name for name, _ in code.functions if name not in found]
    if missing:
        raise IntegrityError(f"the code of {code.of} lacks the on-demand features {', '.join(missing)}")
    return tuple(found[name] for name, _ in code.functions)
