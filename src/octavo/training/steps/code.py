"""What a step's result depends on beside its inputs: its code, what this uses of the project, and the libraries."""

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from octavo.definitions.code import code_of
from octavo.definitions.steps import Step
from octavo.errors import TrainingFailed
from octavo.stores.names import digest_of
from octavo.training.steps.values import digest_of_node, encode_value
from octavo.training.tracking.surroundings import environment


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCode:
    """The code of a step.

    Attributes
    ----------
    digest : str
        Of its function and all of the project that it refers to, by their sources and values.
    unknown : tuple of str
        What it refers to that cannot be compared, such as an open connection; its results then hold for one run.
    """

    digest: str
    unknown: tuple[str, ...]


def code_of_step(step: Step) -> StepCode:
    """The code of a step as it is loaded now."""
    seen = _Seen()
    seen.function(step.function)
    parts = "".join(f"{len(name)}:{name}{len(text)}:{text}" for name, text in sorted(seen.parts.items()))
    return StepCode(digest=digest_of(parts.encode()), unknown=tuple(sorted(seen.unknown)))


@cache
def environment_digest() -> str:
    """Digest of all installed distributions and of Python, by their versions."""
    return digest_of(f"{sys.version}\n{environment()}".encode())


class _Seen:
    """All that functions refer to, each once."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.unknown: set[str] = set()

    def function(self, function: Callable[..., Any]) -> None:
        name = f"{function.__module__}.{function.__qualname__}"
        if name in self.parts or not isinstance(function, FunctionType):
            return
        source = _source(function)
        self.parts[name] = source
        for place, default in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self._value(f"{name} default {place}", default)
        for cell, value in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._value(f"{name} {cell}", value.cell_contents)
        for used in sorted(_names(function.__code__)):
            if used in function.__globals__:
                self._value(f"{function.__module__}.{used}", function.__globals__[used])
        for imported in sorted(_imports(source)):
            self._import(imported)

    def _value(self, name: str, value: Any) -> None:
        if isinstance(value, Step):
            self.function(value.function)
        elif isinstance(value, ModuleType):
            self.parts[name] = value.__name__
            if _is_local(value):
                self._module(value.__name__, value.__file__)
        elif isinstance(value, FunctionType | type):
            self._defined(name, value)
        elif name not in self.parts:
            self.parts[name] = self._constant(name, value)

    def _defined(self, name: str, value: Any) -> None:
        """A function or a class: by its source if it is of the project, else by its name."""
        if not _is_local(sys.modules.get(value.__module__)):
            self.parts[name] = f"{value.__module__}.{value.__qualname__}"
        elif isinstance(value, FunctionType):
            self.function(value)
        elif (known := f"{value.__module__}.{value.__qualname__}") not in self.parts:
            self.parts[known] = _source(value)
            for part in (*value.__bases__, *vars(value).values()):
                if isinstance(part, FunctionType | type):
                    self._value(f"{known}.{part.__name__}", part)

    def _module(self, name: str, origin: str | None) -> None:
        """A module of the project, by its text, and those that this imports, whether they are loaded here or not."""
        if name in self.parts or not origin or not _is_local_file(origin):
            return
        text = self.parts[name] = Path(origin).read_text(encoding="utf-8")
        for imported in sorted(_imports(text)):
            self._import(imported)

    def _import(self, name: str) -> None:
        """What a function or a module imports itself."""
        package = name.partition(".")[0]
        try:
            outermost = importlib.util.find_spec(package)
            if package == "octavo" or outermost is None or not _is_local_file(outermost.origin or ""):
                return  # nor is anything in it of the project
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return
        if found is not None:
            self._module(name, found.origin)

    def _constant(self, name: str, value: Any) -> str:
        if is_dataclass(value) and type(value).__module__.partition(".")[0] == "octavo":
            return repr(value)
        try:
            return digest_of_node(encode_value(value, keep=digest_of, where=name))
        except TrainingFailed:
            self.unknown.add(name)
            return f"{type(value).__module__}.{type(value).__qualname__}"


def _source(defined: Any) -> str:
    try:
        return code_of(defined) if isinstance(defined, FunctionType) else inspect.getsource(defined)
    except (OSError, TypeError):  # typed in somewhere that keeps no text
        code = getattr(defined, "__code__", None)
        return hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest() if code else repr(defined)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _imports(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _is_local(module: ModuleType | None) -> bool:
    """Whether a module is of the project: neither of Python nor installed, and not of Octavo."""
    file = getattr(module, "__file__", None)
    name = getattr(module, "__name__", "")
    return bool(file) and name.partition(".")[0] != "octavo" and _is_local_file(str(file))


def _is_local_file(file: str) -> bool:
    paths = (sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    place = Path(file).resolve()
    return place.suffix == ".py" and not any(place.is_relative_to(Path(path).resolve()) for path in paths)
