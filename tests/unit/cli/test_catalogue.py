"""The list of commands, and that it costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.commands import every_command
from tests.unit.cli.shop import Shop

from octavo import __version__
from octavo.cli.catalogue import ENTRIES, SECTIONS
from octavo.cli.failures import EXIT_CODES, INTERRUPTED, OTHER

ROOT = Path(__file__).parents[3]
_SHOWN = re.compile(r"(?:`|^\$ |^)octavo ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)
HEAVY = ("duckdb", "deltalake", "pyarrow", "sqlalchemy", "dbos", "lmdb", "onnx", "onnxruntime", "sklearn", "pandas",
         "uvicorn", "starlette", "httpx", "rich")  # fmt: skip


@pytest.mark.parametrize("line", [["--help"], ["--version"], []])
def test_it_starts_without_any_heavy_library(line: list[str]) -> None:
    probe = (
        "import sys; sys.argv = ['octavo', *sys.argv[1:]]\n"
        "from octavo.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe, *line], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_list_names_every_command_by_section(empty_shop: Shop) -> None:
    text = empty_shop.done("--help")
    assert [section.title for section in SECTIONS if f"\n{section.title}:\n" not in text] == []
    assert [name for name in ENTRIES if f"\n  {name} " not in text] == []


def test_it_tells_its_version(empty_shop: Shop) -> None:
    assert empty_shop.done("--version") == f"octavo {__version__}\n"


def test_every_command_and_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in ENTRIES if f"`octavo {name}`" not in text] == []
    assert [code for code in (0, OTHER, 2, *EXIT_CODES.values(), INTERRUPTED) if f"| {code} |" not in text] == []


def test_every_command_that_a_page_shows_exists() -> None:
    known = dict(every_command())
    shown = set()
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for first, second in _SHOWN.findall(page.read_text(encoding="utf-8")):
            is_group = first in ENTRIES and hasattr(known[(first,)], "commands")
            shown.add((first, second) if is_group and second else (first,))
    assert shown - set(known) == set()


def test_no_command_is_listed_twice() -> None:
    names = [entry.name for section in SECTIONS for entry in section.entries]
    assert len(names) == len(set(names))
