"""The rules of the house that a program can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from octavo import errors

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src" / "octavo").rglob("*.py"))


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src" / "octavo")))
def test_a_module_holds_one_idea_under_a_telling_name(module: Path) -> None:
    assert module.stem not in {"utils", "util", "helpers", "common", "misc", "base"}
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), "a module says in its first line what it is for"


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OctavoError)]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_the_error_tree_is_drawn_in_full() -> None:
    drawn = errors.__doc__ or ""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OctavoError)]
    assert [kind.__name__ for kind in kinds if kind.__name__ not in drawn] == []


def test_the_authoring_api_loads_without_heavy_libraries() -> None:
    heavy = ("pandas", "sklearn", "duckdb", "sqlalchemy", "pyarrow")
    probe = f"import sys, octavo; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_SHOWS_COMMANDS = """
import importlib, sys
from octavo.cli.catalogue import ENTRIES
open_stores = {"backups", "demo"}
for module in sorted({entry.module for entry in ENTRIES.values()} - open_stores):
    importlib.import_module(f"octavo.cli.{module}")
heavy = {"deltalake", "duckdb", "mlflow", "numba", "onnxruntime", "pandas", "scipy", "sqlalchemy"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_help_of_a_command_loads_nothing_heavy() -> None:
    found = subprocess.run([sys.executable, "-c", _SHOWS_COMMANDS], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
