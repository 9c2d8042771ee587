"""What is documented, and that it is there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from octavo.config import Config

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    sections = [field for field in fields(Config) if field.name != "root"]
    settings = [
        f"[{section.name}] {setting.name}"
        for section in sections
        for setting in fields(section.default_factory)  # type: ignore[arg-type]  # each section is a dataclass
    ]
    assert [setting for setting in settings if f"`{setting}`" not in text] == []


def test_every_decision_is_numbered_and_has_a_title() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, page in enumerate(pages, start=1):
        assert page.name.startswith(f"{number:04d}-")
        assert page.read_text(encoding="utf-8").startswith(f"# {number}. ")
