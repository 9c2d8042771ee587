"""Profiles of columns, and calibration."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.models import Task
from octavo.training.profiling import calibration, profile, profile_of_category

values = st.lists(st.one_of(st.floats(width=32), st.sampled_from([0.0, 1.0, 2.0, math.nan])), max_size=200)


@settings(deadline=None)
@given(column=values)
def test_a_profile_counts_the_column_that_it_is_of_by_its_own_shares(column: list[float]) -> None:
    found = profile(column)
    counts, missing = found.counts(np.array(column))
    present = len(column) - missing
    assert len(found.shares) == len(found.edges) + 1 <= 10
    assert list(found.edges) == sorted(set(found.edges))
    assert all(edge == float(np.float32(edge)) and math.isfinite(edge) for edge in found.edges)
    if present:
        assert found.shares == pytest.approx((counts / present).tolist())
        assert sum(found.shares) == pytest.approx(1.0)


def test_bins_of_many_values_hold_about_a_tenth_each() -> None:
    found = profile(np.random.default_rng(0).normal(size=10_000))
    assert found.shares == pytest.approx((0.1,) * 10, abs=0.001)


@pytest.mark.parametrize("common", [0.0, 50.5, 101.0])
def test_a_value_that_many_rows_have_has_a_bin_of_its_own_and_the_others_are_told_apart(common: float) -> None:
    found = profile([common] * 900 + list(range(1, 101)))
    assert found.shares.count(0.9) == 1
    assert max(share for share in found.shares if share != 0.9) < 0.03
    assert found.counts([common])[0][found.shares.index(0.9)] == 1


def test_of_several_common_values_each_has_its_bin() -> None:
    column = [0.0] * 200 + [10.0] * 300 + [20.0] * 150 + [30.0] * 150 + list(np.linspace(1, 29, 200))
    assert {0.2, 0.3, 0.15} <= {round(share, 6) for share in profile(column).shares}


def test_few_distinct_values_have_a_bin_each() -> None:
    found = profile([1.0, 1.0, 2.0, 5.0])
    assert found.edges == (2.0, 5.0)
    assert found.shares == (0.5, 0.25, 0.25)


def test_a_single_value_has_a_bin_with_neighbours_on_both_sides() -> None:
    found = profile([7.0, 7.0])
    assert found.shares == (0.0, 1.0, 0.0)
    assert found.counts([6.9, 7.0, 7.1])[0].tolist() == [1, 1, 1]


def test_missing_values_are_a_share_of_all_rows() -> None:
    found = profile([1.0, math.nan, 3.0, math.nan])
    assert found.missing == 0.5
    assert (found.mean, found.std, found.low, found.high) == (2.0, 1.0, 1.0, 3.0)


@pytest.mark.parametrize("column", [[], [math.nan, math.nan]])
def test_a_column_without_values_has_one_empty_bin(column: list[float]) -> None:
    found = profile(column)
    assert (found.edges, found.shares, found.missing, found.mean) == ((), (0.0,), 1.0, None)


def test_infinities_count_as_the_largest_numbers() -> None:
    found = profile([-math.inf, 0.0, math.inf, 1e300])
    assert found.counts([-math.inf, 0.0, math.inf])[0].tolist() == [1, 1, 1]
    assert found.mean is not None
    assert math.isfinite(found.mean)


def test_calibration_sets_what_came_beside_what_was_predicted() -> None:
    random = np.random.default_rng(0)
    predictions = random.uniform(0, 1, 20_000)
    labels = (random.uniform(0, 1, 20_000) < predictions).astype(float)
    points = calibration(labels, predictions, task=Task.BINARY)
    assert [point.rows for point in points] == [2_000] * 10
    assert [p.predicted for p in points] == sorted(p.predicted for p in points)
    assert sum(point.observed.low <= point.predicted <= point.observed.high for point in points) >= 8


def test_fewer_rows_than_ten_are_points_of_their_own() -> None:
    points = calibration(np.array([1.0, 0.0]), np.array([0.9, 0.2]), task=Task.REGRESSION)
    assert [(p.predicted, p.observed.value, p.rows) for p in points] == [(0.2, 0.0, 1), (0.9, 1.0, 1)]


def test_the_interval_of_a_share_is_one_of_shares() -> None:
    """Wilson's for 9 of 10, as the literature has it."""
    labels = np.array([1.0] * 9 + [0.0] + [1.0] * 90)
    first, *others = calibration(labels, np.linspace(0, 1, 100), task=Task.BINARY)
    assert (first.observed.low, first.observed.value, first.observed.high) == pytest.approx(
        (0.5958, 0.9, 0.9821), abs=1e-3
    )
    assert all(point.observed.low < point.observed.high == 1.0 for point in others)


def test_a_category_has_a_bin_for_each_word_and_one_for_all_others() -> None:
    found = profile_of_category([0, 0, 1, -1, math.nan], ("JFK", "LGA"))
    assert (found.words, found.shares) == (("any other", "JFK", "LGA"), (0.25, 0.5, 0.25))
    assert found.missing == pytest.approx(0.2)
    assert (found.mean, found.low) == (None, None)
    assert found.counts(np.array([-1.0, 0.0, 1.0, 1.0]))[0].tolist() == [1, 1, 2]


def test_of_many_words_only_the_common_ones_have_a_bin_of_their_own() -> None:
    words = tuple(f"word {n:03d}" for n in range(100))
    found = profile_of_category(np.repeat([7, 50, *range(100)], [500, 300, *[1] * 100]), words)
    assert len(found.shares) == len(found.words) == len(found.edges) + 1 <= 42
    assert {"word 007", "word 050"} <= set(found.words)
    assert sum(found.shares) == pytest.approx(1.0)
