from pathlib import Path

import pytest

from octavo.cli.demo.journal import Entry, Journal
from octavo.clock import from_micros

FIRST = Entry(at_us=1, events=3, scored={"a": ["a1", "a2"], "b": ["b1", "b2"]}, requests=2, latencies_ms=[1.0, 3.0])
SECOND = Entry(at_us=2, events=1, scored={"c": ["c1"]}, requests=2, latencies_ms=[2.0], failed=1, landed=["a"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal(tmp_path / "journal") as journal:
        for entry in (FIRST, SECOND):
            journal.add(entry)
    return tmp_path / "journal"


def test_an_empty_journal_knows_of_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        assert (journal.at, journal.requests, journal.percentile_ms(99)) == (None, 0, 0.0)


def test_a_journal_that_is_opened_again_counts_as_before(path: Path) -> None:
    with Journal(path) as journal:
        assert (journal.events, journal.requests, journal.failed) == (4, 4, 1)
        assert (journal.predictions, journal.outcomes) == (5, 2)
        assert journal.percentile_ms(50) == 2.0
        assert journal.at == from_micros(2)


def test_a_flight_is_in_the_air_until_it_has_landed(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.in_the_air == {"b": ["b1", "b2"], "c": ["c1"]}
        assert (journal.newest_outcomes, journal.newest_predictions) == (["a1", "a2"], ["c1"])


def test_a_line_that_was_cut_off_is_as_if_it_had_not_been(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Journal(path) as journal:
        assert journal.at == from_micros(1)
        journal.add(SECOND)
    assert path.read_bytes() == whole
