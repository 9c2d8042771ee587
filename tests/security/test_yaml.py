"""YAML comes in by one document only, the MLmodel of a model that was fitted elsewhere: plain data, within bounds."""

import ast
import time
from pathlib import Path

import pytest

import octavo
from octavo.errors import InvalidRequest, OctavoError
from octavo.registry.formats.mlflow import parse_directory
from tests.security.sites import parsed

PACKAGE = Path(octavo.__file__).parent
OBJECTS = [
    "!!python/object/apply:os.system ['touch {}']",
    "!!python/object/new:os.system ['touch {}']",
    "!!python/object/apply:subprocess.check_output [[touch, {}]]",
    "!!python/name:os.system",
    "!!python/module:os",
    "a: !!python/object/apply:builtins.eval [\"open('{}', 'w')\"]",
    "!!map {{? !!python/object/apply:os.system ['touch {}'] : x}}",
]
LAUGHS = "\n".join(
    ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
)


@pytest.mark.parametrize("document", OBJECTS)
def test_a_document_makes_no_objects(document: str, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    with pytest.raises(InvalidRequest, match="cannot be read"):
        parse_directory({"MLmodel": document.format(planted).encode()})
    assert not planted.exists()


@pytest.mark.parametrize(
    "document",
    [LAUGHS, "[" * 100_000, "{a: " * 20_000, "&a [*a]", "x" * 2_000_000, "a: " + "9" * 100_000, "\0", "a: &b *b"],
    ids=["laughs", "deep lists", "deep maps", "itself", "too long", "a long number", "no text", "an alias to itself"],
)
def test_a_document_costs_a_bounded_time(document: str) -> None:
    began = time.perf_counter()
    with pytest.raises(OctavoError):
        parse_directory({"MLmodel": document.encode()})
    assert time.perf_counter() - began < 5


def test_no_other_module_reads_yaml_and_none_unsafely() -> None:
    readers = {}
    for path in PACKAGE.rglob("*.py"):
        tree = parsed(path)
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        if found := {name for name in calls if name.startswith(("yaml.", "ruamel."))}:
            readers[path.relative_to(PACKAGE).as_posix()] = found
    assert readers == {"registry/formats/mlflow.py": {"yaml.safe_load"}}
