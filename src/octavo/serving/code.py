"""The functions of a bundle, also what comes after the model, from the project's modules that travel in it."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import ModuleType

import numpy as np
import numpy.typing as npt

from octavo.definitions.answers import AfterModel
from octavo.definitions.features import OnDemand
from octavo.definitions.types import DType
from octavo.errors import IntegrityError, PredictionFailed
from octavo.features.answers import AnswerColumns, Said, answer_of
from octavo.registry.bundles import Bundle
from octavo.registry.modules import answers_in, find_answer, functions_in, load_module
from octavo.serving.functions import Functions, FunctionsHere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proof:
    """What comes after the model is asked before it may answer.

    Attributes
    ----------
    said : Said
        Of golden rows.
    check : callable
        Raises IntegrityError for answers that are not what they were when the bundle was packed.
    """

    said: Said
    check: Callable[[npt.NDArray[np.float64]], None]


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
    after : (str, tuple of str) or None
        What comes after the model: its name and its inputs.
    proof : Proof or None
        What that must answer.
    """

    of: str
    modules: tuple[tuple[str, str, bytes], ...] = field(repr=False)
    functions: tuple[tuple[str, tuple[str, ...]], ...]
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    digest: str
    is_chained: bool = True
    after: tuple[str, tuple[str, ...]] | None = None
    proof: Proof | None = field(default=None, repr=False, compare=False)


OpenFunctions = Callable[[Code], Functions]


def code_of(bundle: Bundle) -> Code:
    """The functions of a bundle's plan; without any there is no code, whatever travels with it."""
    plan = bundle.plan
    functions = tuple((function.name, function.inputs) for function in plan.functions)
    after = None if plan.answer is None else (plan.answer.name, plan.answer.inputs)
    has_code = bool(functions) or after is not None
    return Code(
        of=f"model {plan.model!r}",
        modules=_named(bundle) if has_code else (),
        functions=functions,
        dtypes={one.name: one.dtype for one in plan.fields},
        digest=digest_of_code(source for _, source in sorted(bundle.code.items())) if has_code else "",
        after=after,
        proof=None if after is None else _proof(bundle, after[1]),
    )


def _proof(bundle: Bundle, taken: tuple[str, ...]) -> Proof:
    plan, golden = bundle.plan, bundle.golden
    columns = AnswerColumns(taken, inputs=plan.inputs, categories=plan.categories)
    n_rows = len(golden.reference)
    said = columns.of(golden.expected[:n_rows], golden.reference)
    name = f"{plan.model} ({bundle.digest[:19]})"
    return Proof(said=said, check=lambda found: golden.check_answers(said.spread(found, n_rows=n_rows), model=name))


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
        If the code fails to load, lacks a function, or has one after the model that does not answer as it did.
    """
    modules = _loaded(code)
    return FunctionsHere(_declared(code, modules), _after(code, modules))


def load_functions(bundle: Bundle) -> tuple[OnDemand, ...]:
    """The on-demand features of the plan, in its order, loaded into this very process.

    Modules are loaded under names of their own, so that versions with different code stand side by side. A plan
    without on-demand features loads no code.

    Raises
    ------
    IntegrityError
        If the code fails to load or lacks a function.
    """
    code = code_of(bundle)
    return _declared(code, _loaded(code) if code.functions else ())


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


def _loaded(code: Code) -> tuple[ModuleType, ...]:
    return tuple(load_module(source, name=name, path=path) for name, path, source in code.modules)


def _after(code: Code, modules: Iterable[ModuleType]) -> AfterModel | None:
    """What comes after the model, once it has answered what it must."""
    if code.after is None:
        return None
    found: dict[str, AfterModel] = {}
    for module in modules:
        found |= answers_in(module)
    function = find_answer(found, name=code.after[0], inputs=code.after[1], of=code.of)
    if code.proof is not None:
        code.proof.check(_proven(function, code.proof.said, of=code.of))
    return function


def _proven(function: AfterModel, said: Said, *, of: str) -> npt.NDArray[np.float64]:
    try:
        return answer_of(function, said.columns, said.n_rows)
    except PredictionFailed as error:
        raise IntegrityError(f"the code of {of} fails on its golden rows: {error.message}") from error


def _declared(code: Code, modules: Iterable[ModuleType]) -> tuple[OnDemand, ...]:
    found: dict[str, OnDemand] = {}
    for module in modules:
        found |= functions_in(module)
    missing = [name for name, _ in code.functions if name not in found]
    if missing:
        raise IntegrityError(f"the code of {code.of} lacks the on-demand features {', '.join(missing)}")
    return tuple(found[name] for name, _ in code.functions)
