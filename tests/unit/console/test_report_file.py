"""The report of a version as one file."""

import re
from dataclasses import replace

import pytest
from tests.showrooms import HOSTILE, NOW, Showroom, full_showroom
from tests.showrooms.doors import Html

from octavo.console.report_file import report_file
from octavo.registry.operations import ShowVersion, show_version
from octavo.training.reports import Interval, Partition, TriedPart


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("hostile"), text=HOSTILE)


def written(room: Showroom, model: str, version: int) -> str:
    return report_file(show_version(ShowVersion(model=model, version=version), room.context), now=NOW)


@pytest.mark.parametrize(("model", "version"), [("arrival_delay", 1), ("arrival_delay", 3), ("arrives_late", 2)])
def test_it_needs_nothing_else_and_runs_nothing(hostile: Showroom, model: str, version: int) -> None:
    text = written(hostile, model, version)
    found = Html(text)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("h1") == tags.count("main") == tags.count("style") == 1
    assert not {"script", "link", "img", "iframe", "form", "object"} & set(tags)
    assert not found.links
    assert not any(name.startswith("on") or name in ("src", "href") for _, given in found.elements for name in given)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text


def test_all_of_the_report_is_in_it(hostile: Showroom) -> None:
    text = Html(written(hostile, "arrives_late", 2)).text
    for words in ("arrives_late 2 model report", "Gates", "not judged", "could not be compared", "Thresholds",
                  "Where it does worse", "Inputs, by importance", "Card"):  # fmt: skip
        assert words in text
    assert HOSTILE in text


def test_a_waiver_stands_beside_what_it_waives(hostile: Showroom) -> None:
    text = Html(written(hostile, "arrival_delay", 3)).text
    assert "Waived by ada" in text
    assert f"until the season ends, {HOSTILE}" in text


def test_it_says_how_the_version_stands(hostile: Showroom) -> None:
    assert "It cannot be released: better_than_baseline(mae) failed" in Html(written(hostile, "arrival_delay", 3)).text
    assert "It passed its gates." in Html(written(hostile, "arrival_delay", 2)).text


def test_parts_of_a_model_stand_beside_the_model_for_all(hostile: Showroom) -> None:
    details = show_version(ShowVersion(model="arrival_delay", version=2), hostile.context)
    gain = Interval(value=-2.5, low=-3.0, high=-2.0)
    tried = (
        TriedPart(word="UA", rows=9_000, held_out=800, parent=12.0, part=9.5, difference=gain, kept=True),
        TriedPart(word=HOSTILE, rows=1_200, held_out=29, why="29 held-out rows, of at least 30"),
    )
    partition = Partition(by="carrier", metric="mae", min_rows=1_000, parts=tried, smaller=3)
    page = report_file(replace(details, report=replace(details.report, partition=partition)), now=NOW)
    text = Html(page).text
    for words in ("Parts by carrier", "1 of 2 parts by carrier answer their words", "of fewer than 1,000 rows: 3",
                  "the part answers", "the model for all answers", "29 held-out rows, of at least 30"):  # fmt: skip
        assert words in text
    assert HOSTILE in text
    assert "Parts by" not in Html(report_file(details, now=NOW)).text


def test_the_same_report_is_the_same_file(hostile: Showroom) -> None:
    assert written(hostile, "arrival_delay", 3) == written(hostile, "arrival_delay", 3)
