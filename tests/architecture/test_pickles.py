"""Where a pickle may be opened: in its own process, and nowhere else."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import octavo

PACKAGE = Path(octavo.__file__).parent
UNSAFE = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
WRITES, OPENS = "registry/formats/pickles.py", "registry/jail/child.py"


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def _calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_only_two_modules_import_what_pickles() -> None:
    found = {name for name, tree in _modules() if any(module.partition(".")[0] in UNSAFE for module in _imports(tree))}
    assert found == {WRITES, OPENS}


def test_only_the_jail_opens_one() -> None:
    trees = dict(_modules())
    called = {name for name, _ in _calls(trees[WRITES])}
    assert "pickle.dumps" in called
    assert not {name for name in called if name.startswith("pickle.") and name != "pickle.dumps"}
    assert "pickle.loads" in {name for name, _ in _calls(trees[OPENS])}


def test_nothing_is_read_in_a_way_that_opens_pickles_by_the_way() -> None:
    for module, tree in _modules():
        for name, call in _calls(tree):
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if name.endswith(("numpy.load", "np.load")):
                assert said.get("allow_pickle", "False") == "False", f"{module}: {ast.unparse(call)}"
            if name.endswith("torch.load"):
                assert said.get("weights_only") == "True", f"{module}: {ast.unparse(call)}"
            assert not name.endswith(("read_pickle", "joblib.load", "yaml.load", "unsafe_load")), f"{module}: {name}"


SERVERS = """
import sys
ours = {"octavo.registry.formats.pickles", "octavo.registry.jail.child"}
import octavo.serving.process, octavo.serving.app, octavo.serving.watcher, octavo.serving.grpc.app
print(sorted((ours | {"dill", "cloudpickle", "joblib", "shelve"}) & set(sys.modules)))
import octavo.api.app, octavo.console.releases
print(sorted(ours & set(sys.modules)))  # pyarrow imports cloudpickle by itself where it is installed
"""


def test_no_server_has_loaded_what_opens_one() -> None:
    done = subprocess.run([sys.executable, "-c", SERVERS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
