"""Fresh environments: what a training needs, in the versions of its record, and nothing else."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from pathlib import Path

from octavo.errors import Unavailable

_SEPARATORS = re.compile(r"[-_.]+")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r"extra\s*==")
_ALWAYS = ("octavo", "skops", "onnx", "protobuf", "pandas")
"""What Octavo itself uses where a model needs it, whatever the project's code imports."""

_OCTAVO = Path(__file__).parents[1]
"""The package that runs here."""

_LAST_LINES, _PATIENCE_S = 5, 3_600.0
_NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def parse_lock(text: str) -> dict[str, str]:
    """The versions in an environment lock, by distribution."""
    pairs = (line.partition("==") for line in text.splitlines() if "==" in line)
    return {name.strip(): version.strip() for name, _, version in pairs}


def needed(lock: Mapping[str, str], code: Mapping[str, str], *, libraries: Iterable[str] = ()) -> dict[str, str]:
    """The part of a lock that code needs: Octavo, what is imported, and all that these require.

    Parameters
    ----------
    code : mapping of file name to text
    libraries : iterable of str
        Distributions that are needed besides.
    """
    providers = packages_distributions()
    imported = {name for text in code.values() for name in _imports(text)}
    waiting = [*_ALWAYS, *libraries, *(one for name in imported for one in providers.get(name, ()))]
    found: dict[str, str] = {}
    while waiting:
        name = _normal(waiting.pop())
        if name in lock and name not in found:
            found[name] = lock[name]
            waiting += _required(name)
    return found


def make_environment(
    folder: Path, packages: Mapping[str, str], *, python: str, tell: Callable[[str], None] = lambda message: None
) -> Path:
    """Make an environment with some distributions in some versions; its Python.

    Octavo is the one that runs here, if it has the version that is wanted.

    Parameters
    ----------
    python : str
        The version of Python.

    Raises
    ------
    Unavailable
        If it cannot be made, such as without a network.
    """
    uv = shutil.which("uv")
    here = python == ".".join(map(str, sys.version_info[:3]))
    if not here and uv is None:
        raise Unavailable(
            f"the run had Python {python}, and here is {sys.version.split()[0]}; install that Python, or uv, which "
            "finds it, or reproduce with what is installed here: --environment current"
        )
    tell("making the environment")
    wanted = sys.executable if here else python
    _run([uv, "venv", "--python", wanted, str(folder)] if uv else [wanted, "-m", "venv", str(folder)])
    interpreter = folder / "bin" / "python"
    is_same = packages.get("octavo") == version("octavo")
    lines = [f"{name}=={version}" for name, version in packages.items() if not (is_same and name == "octavo")]
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
    tell(f"installing {len(lines)} packages")
    installer = (
        [uv, "pip", "install", "--python", str(interpreter)] if uv else [str(interpreter), "-m", "pip", "install"]
    )
    _run([*installer, "--no-deps", "-r", str(requirements)])
    if is_same:
        _link_octavo(folder)
    return interpreter


def clean_variables() -> dict[str, str]:
    """The variables of this process without those that would lead into its environment."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}


def _link_octavo(folder: Path) -> None:
    """Have the environment find the Octavo that runs here, and nothing beside it."""
    linked = folder / "octavo"
    linked.mkdir()
    (linked / "octavo").symlink_to(_OCTAVO, target_is_directory=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars=scheme))
    (site / "octavo.pth").write_text(f"{linked}\n", encoding="utf-8")


def _required(name: str) -> list[str]:
    """What a distribution that is installed here requires, without its extras."""
    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:
        return []
    return [match[1] for text in requires if not _EXTRA.search(text) and (match := _REQUIREMENT.match(text))]


def _imports(text: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, env=clean_variables(), capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:])
        raise Unavailable(
            f"the environment of the run cannot be made:\n{said}\nTry again where these packages can be fetched, or "
            "reproduce with what is installed here: --environment current"
        )
