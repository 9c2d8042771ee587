"""Numbers, times and names as people read them."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.console import formatting

THIN = "\N{NARROW NO-BREAK SPACE}"
NOON = datetime(2013, 5, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0, "0"),
        (0.0, "0"),
        (12, "12"),
        (1234567, f"1{THIN}234{THIN}567"),
        (-1234, f"−1{THIN}234"),
        (14.97, "15.0"),
        (0.5, "0.5"),
        (-0.123456, "−0.123"),
        (1234.5, f"1{THIN}234"),
        (0.00001234, "1.23e−5"),
        (2.5e9, "2.50e9"),
    ],
)
def test_a_number_is_read_in_three_figures(value: float | None, text: str) -> None:
    assert formatting.number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_number_is_never_far_from_what_it_says(value: float) -> None:
    text = formatting.number(value).replace(THIN, "").replace("−", "-")
    assert math.isclose(float(text), value, rel_tol=0.006, abs_tol=1e-300)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1.0, "100"),
        (0.0001, f"<{THIN}0.1"),
        (0.9999, f">{THIN}99.9"),
        (0.994, "99.4"),
        (0.031, "3.1"),
        (0.5, "50"),
        (1.25, "125"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(share: float | None, text: str) -> None:
    assert formatting.percent(share) == (text if share is None else f"{text}{THIN}%")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.004, f"4{THIN}ms"),
        (1.5, f"1.5{THIN}s"),
        (59.7, f"60{THIN}s"),
        (61, f"1{THIN}min 1{THIN}s"),
        (8040, f"2{THIN}h 14{THIN}min"),
        (86_400, f"1{THIN}d"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_a_moment_is_readable_by_machines_too() -> None:
    assert formatting.moment(NOON) == '<time datetime="2013-05-20T12:00:00+00:00">2013-05-20 12:00</time>'
    assert formatting.moment(None) == "–"


@pytest.mark.parametrize(
    ("before", "words"),
    [(timedelta(0), "now"), (timedelta(minutes=5), f"5{THIN}min ago"), (-timedelta(days=2), f"in 2{THIN}d")],
)
def test_how_long_ago(before: timedelta, words: str) -> None:
    assert f">{words}</time>" in formatting.ago(NOON - before, NOON)


def test_a_difference_has_its_sign() -> None:
    assert [formatting.signed(value) for value in (1.5, -1.5, 0.0, None)] == ["+1.50", "−1.50", "0", "–"]


def test_counts_agree_with_their_nouns() -> None:
    assert formatting.plural(1, "row") == "1 row"
    assert formatting.plural(1000, "row") == f"1{THIN}000 rows"
    assert formatting.plural(2, "entity", many="entities") == "2 entities"


def test_an_identifier_is_shortened_to_what_tells_it_apart() -> None:
    assert formatting.short("018f0000-0000-7000-8000-000000000042") == "…00000042"
    assert formatting.short("short") == "short"


def test_what_is_named_by_its_id_is_a_link() -> None:
    identifier = "0142af51-2500-7bbd-af71-7c476453e10c"
    assert formatting.linked(f"<b> incident {identifier}, run {identifier}") == (
        f'&lt;b&gt; <a class="nowrap" href="/incidents/{identifier}">incident …6453e10c</a>, '
        f'<a class="nowrap" href="/runs/{identifier}">run …6453e10c</a>'
    )
    assert formatting.linked(f"run={identifier} trigger=user") == (
        f'<a class="nowrap" href="/runs/{identifier}">run …6453e10c</a> trigger=user'
    )
    assert formatting.linked("incident unknown") == "incident unknown"


def test_a_message_is_read_as_a_sentence() -> None:
    assert formatting.sentence("there is none") == "There is none."
    assert formatting.sentence("eve/1 may not") == "eve/1 may not."
    assert formatting.sentence("") == ""


def test_a_negative_share_has_a_minus_sign() -> None:
    assert formatting.percent(-0.017) == f"−1.7{THIN}%"


@pytest.mark.parametrize(("size", "text"), [(None, "–"), (12, f"12{THIN}B"), (1_050_000, f"1.05{THIN}MB")])
def test_a_size_has_a_fitting_unit(size: int | None, text: str) -> None:
    assert formatting.size(size) == text
