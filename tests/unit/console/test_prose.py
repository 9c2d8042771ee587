"""The little of Markdown that cards are written in."""

from hypothesis import given
from hypothesis import strategies as st
from tests.showrooms.doors import Html

from octavo.console.prose import prose


def test_headings_bullets_tables_and_code_are_blocks() -> None:
    text = "# Card\n\nTwo lines\nof text.\n\n- one `code`\n- two\n\n| | mae |\n|---|---|\n| this | 3.1 |\n"
    assert [tag for tag, _ in Html(prose(text)).elements] == [
        "h3", "p", "ul", "li", "code", "li", "div", "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td",
    ]  # fmt: skip
    assert Html(prose(text)).text == "Card Two lines of text. one code two mae this 3.1"


@given(st.text(alphabet=st.sampled_from("<>&\"'`|#-* ab\n{}"), max_size=200))
def test_no_text_becomes_markup(text: str) -> None:
    known = {"h3", "p", "ul", "li", "code", "div", "table", "thead", "tbody", "tr", "th", "td"}
    found = Html(prose(text))
    assert {tag for tag, _ in found.elements} <= known
    kept = [character for character in "".join(found.words) if character in "<>&\"'{}ab"]
    assert kept == [character for character in text if character in "<>&\"'{}ab"]


def test_nothing_is_nothing() -> None:
    assert prose("") == prose("\n\n") == ""
