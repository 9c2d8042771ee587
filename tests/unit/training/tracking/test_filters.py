"""Filters and orders as people write them, parsed to data."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.stores.searches import Comparing, Condition, Order
from octavo.training.tracking.filters import conditions_of, orders_of


def condition(path: str, comparing: Comparing, *values: str | float) -> Condition:
    return Condition(path=tuple(path.split("/", 1)), comparing=comparing, values=values)  # type: ignore[arg-type]  # of one kind


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("metrics.auc > 0.9", condition("metrics/auc", Comparing.MORE, 0.9)),
        ("metrics.auc>-1e-3", condition("metrics/auc", Comparing.MORE, -0.001)),
        ("metric.val.auc <= 1", condition("metrics/val.auc", Comparing.AT_MOST, 1.0)),
        ("params.depth = 6", condition("params/depth", Comparing.EQUAL, 6.0)),
        ("params.depth == '6'", condition("params/depth", Comparing.EQUAL, "6")),
        ("params.`max depth` != '6'", condition("params/max depth", Comparing.UNEQUAL, "6")),
        ('tags."team/x" = "risk"', condition("tags/team/x", Comparing.EQUAL, "risk")),
        ("tags.a-b/c like 'x%'", condition("tags/a-b/c", Comparing.LIKE, "x%")),
        ("name LIKE 'grid%'", condition("name", Comparing.LIKE, "grid%")),
        ("attributes.status in ('failed', 'killed')", condition("status", Comparing.IN, "failed", "killed")),
        ("status NOT IN ('failed')", condition("status", Comparing.NOT_IN, "failed")),
        ("params.x IS NULL", condition("params/x", Comparing.ABSENT)),
        ("metrics.x is not null", condition("metrics/x", Comparing.PRESENT)),
        ("rows >= 1000", condition("rows", Comparing.AT_LEAST, 1000.0)),
        ("started > '2026-11-30'", condition("started_at", Comparing.MORE, "2026-11-30T00:00:00+00:00")),
        ("started > '2026-11-30T01:00+01:00'", condition("started_at", Comparing.MORE, "2026-11-30T00:00:00+00:00")),
        ("finished < 0", condition("finished_at", Comparing.LESS, "1970-01-01T00:00:00+00:00")),
        ("name = 'it''s'", condition("name", Comparing.EQUAL, "it's")),
        ("name = '''; drop table runs; --'", condition("name", Comparing.EQUAL, "'; drop table runs; --")),
    ],
)  # fmt: skip
def test_a_condition_means_what_it_says(text: str, meant: Condition) -> None:
    assert conditions_of(text) == [meant]


def test_conditions_are_joined_by_and() -> None:
    found = conditions_of("metrics.auc > 0.9 and params.depth = 6 AND status != 'failed'")
    assert [one.path for one in found] == [("metrics", "auc"), ("params", "depth"), ("status",)]
    assert conditions_of("  ") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("auc > 0.9", "'auc' is no field; there are metrics.NAME"),
        ("metrics.auc", "a comparison is missing at its end"),
        ("metrics.auc > 'high'", "\"'high'\" at place 15 is not a number, which metrics.auc is"),
        ("status = 3", "'3' at place 10 is not text, which status is"),
        ("metrics.a > 1 or metrics.b > 1", "'or' at place 15 is not 'and'"),
        ("metrics.a > 1 metrics.b > 1", "is not 'and'"),
        ("name in ()", "')' at place 10 is not a number, or text in quotes"),
        ("params.a in ('x', 3)", "params.a is compared with both text and numbers"),
        ("params.a like 3", "like compares text"),
        ("started > 'yesterday'", "is not a time"),
        ("started > 1e300", "is not milliseconds since 1970"),
        ("name = 'open", "\"'open\" at place 7 cannot be read"),
        ("name ; drop", "cannot be read"),
        ("1 = 1", "is not a field"),
        ("metrics. > 3", "'>' is no name"),
        ("name = 'a' and", "a field is missing"),
        ("name ( 'a'", "is not a comparison"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        conditions_of(text)
    assert why in refused.value.message
    assert refused.value.field == "where"
    assert "metrics.auc > 0.9" in str(refused.value.fix)


def test_a_filter_that_is_too_long_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="4,000"):
        conditions_of("name = '" + "x" * 4_000 + "'")
    with pytest.raises(LimitExceeded, match="more than 50 conditions"):
        conditions_of(" and ".join(["rows = 1"] * 51))


def test_an_order_turns_with_a_minus_or_a_word() -> None:
    down = Order(path=("metrics", "auc"), descending=True, numeric=True)
    assert orders_of("-metrics.auc") == orders_of("metrics.auc DESC") == [down]
    assert orders_of("metrics.auc asc, -started") == [
        Order(path=("metrics", "auc"), numeric=True),
        Order(path=("started_at",), descending=True),
    ]
    assert orders_of("") == []


def test_parameters_are_sorted_as_numbers_first_and_then_as_text() -> None:
    assert [order.numeric for order in orders_of("params.depth")] == [True, False]


@pytest.mark.parametrize("text", ["auc", "metrics.auc sideways", "-", "metrics.auc desc desc", ","])
def test_an_order_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="sort"):
        orders_of(text)


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["metrics", ".", "a", "=", "'x'", "3", "and", "in", "(", ")", ",", "is", "not", "null", "`b c`", "'", "like", "<"]
), max_size=12).map(" ".join))  # fmt: skip
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    for read in (conditions_of, orders_of):
        with contextlib.suppress(InvalidRequest):
            read(text)
