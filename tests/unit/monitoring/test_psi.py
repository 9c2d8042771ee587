"""The population stability index."""

import doctest

import numpy as np
import pytest

from octavo.monitoring.drift import psi
from octavo.monitoring.drift.psi import bin_counts, expected_shares, stability_index
from octavo.training.profiling import profile

BASELINE = 20_000


def test_its_example_runs() -> None:
    assert doctest.testmod(psi, extraglobs={"Profile": psi.Profile, "np": np}).failed == 0


@pytest.mark.parametrize("rows", [200, 1_000, 5_000])
@pytest.mark.parametrize("shares", [[0.1] * 10, [0.97, 0.01, 0.01, 0.01], [0.5, 0.5], [0.2] * 4 + [0.199, 0.001]])
def test_samples_of_the_baseline_give_nothing_on_average(shares: list[float], rows: int) -> None:
    random = np.random.default_rng(0)
    expected = np.append(shares, 0.0)
    counts = random.multinomial(rows, expected, size=4_000)
    baselines = random.multinomial(BASELINE, expected, size=4_000) / BASELINE
    indices = [
        stability_index(baseline, sample, baseline_rows=BASELINE)
        for baseline, sample in zip(baselines, counts, strict=True)
    ]
    assert abs(np.mean(indices)) < 0.003
    assert np.quantile(indices, 0.99) < 0.1


def test_without_the_correction_two_hundred_rows_would_look_shifted() -> None:
    expected = np.full(10, 0.1)
    counts = np.random.default_rng(0).multinomial(200, expected, size=2_000)
    actual = (counts + 0.5) / 205
    plain = ((actual - 0.1) * np.log(actual / 0.1)).sum(axis=1)
    assert plain.mean() > 0.04


def test_a_shift_is_as_large_whatever_the_number_of_rows() -> None:
    expected, actual = np.array([0.5, 0.5, 0.0]), np.array([8, 2, 0])
    small, large = (stability_index(expected, actual * times, baseline_rows=BASELINE) for times in (100, 10_000))
    assert small == pytest.approx(large, abs=0.02)
    assert large == pytest.approx(0.3 * np.log(0.8 / 0.2), abs=0.01)


def test_values_that_go_missing_are_a_shift() -> None:
    baseline = profile(np.arange(1_000.0))
    values = np.where(np.arange(1_000) % 2, np.nan, np.arange(1_000.0))
    index = stability_index(expected_shares(baseline), bin_counts(baseline, values), baseline_rows=1_000)
    assert index > 1


def test_values_that_were_always_missing_are_none() -> None:
    baseline = profile(np.full(1_000, np.nan))
    index = stability_index(expected_shares(baseline), bin_counts(baseline, [np.nan] * 500), baseline_rows=1_000)
    assert index == pytest.approx(0, abs=1e-9)


def test_a_constant_that_changes_is_a_shift() -> None:
    baseline = profile(np.full(1_000, 3.0))
    assert stability_index(expected_shares(baseline), bin_counts(baseline, [3.0] * 500), baseline_rows=1_000) < 0.01
    assert stability_index(expected_shares(baseline), bin_counts(baseline, [4.0] * 500), baseline_rows=1_000) > 5


def test_an_empty_sample_says_nothing() -> None:
    assert stability_index(np.full(4, 0.25), np.zeros(4, np.int64), baseline_rows=100) == 0
