"""The population stability index and the variation of a training set, against slow oracles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.datasets import Dataset
from octavo.monitoring.drift.psi import bin_counts, expected_shares, stability_index
from octavo.monitoring.variation import FEWEST_ROWS, FEWEST_STRETCHES, LENGTHS_S, measure
from octavo.training.profiling import profile
from octavo.training.reports import Profile

numbers = st.one_of(st.just(math.nan), st.sampled_from([0.0, 1.0, 2.0]), st.floats(-1e6, 1e6, width=32))
columns = st.lists(numbers, min_size=1, max_size=60)


def index_of(baseline: Profile, values: list[float], *, baseline_rows: int) -> float:
    """The index, bin by bin and value by value."""
    bins = [share * (1 - baseline.missing) for share in baseline.shares] + [baseline.missing]
    counts = [0] * len(bins)
    for value in values:
        counts[-1 if math.isnan(value) else sum(value >= edge for edge in baseline.edges)] += 1
    index = chance = 0.0
    smoothed = len(values) + len(bins) / 2
    for expected, count in zip(bins, counts, strict=True):
        wanted, actual = (len(values) * expected + 0.5) / smoothed, (count + 0.5) / smoothed
        index += (actual - wanted) * math.log(actual / wanted)
        chance += len(values) * expected * (1 - expected) / smoothed**2 / wanted
    return index - chance * (1 + len(values) / baseline_rows)


@settings(max_examples=300, deadline=None)
@given(columns, columns)
def test_the_index_is_that_of_the_oracle(trained: list[float], values: list[float]) -> None:
    baseline = profile(trained)
    found = stability_index(expected_shares(baseline), bin_counts(baseline, values), baseline_rows=len(trained))
    assert float(found) == pytest.approx(index_of(baseline, values, baseline_rows=len(trained)), abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(columns)
def test_the_training_rows_themselves_are_no_drift(trained: list[float]) -> None:
    baseline = profile(trained)
    found = stability_index(expected_shares(baseline), bin_counts(baseline, trained), baseline_rows=len(trained))
    assert float(found) <= 1e-9


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 0.5))
def test_the_variation_is_that_of_the_oracle(seed: int, days: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(500, 6_000))
    seconds = np.sort(random.integers(0, days * 86_400, n))
    column = np.where(random.random(n) < missing, np.nan, np.round(seconds / 40_000) + random.normal(size=n))
    column = column.astype(np.float32).astype(np.float64)
    times = np.datetime64("2013-03-01", "us") + seconds.astype("timedelta64[s]")
    baseline = profile(column)
    found = measure(
        Dataset(columns=("x",), X=column[:, None], y=np.zeros(n), times=times), {"x": baseline}, run="r", model="m"
    )
    drift, absent = {}, {}
    for length_s in LENGTHS_S:
        parts: dict[int, list[float]] = {}
        for second, value in zip(seconds - seconds[0], column, strict=True):
            parts.setdefault(int(second) // length_s, []).append(float(value))
        full = [part for part in parts.values() if len(part) >= FEWEST_ROWS]
        if len(full) >= FEWEST_STRETCHES:
            indices = [index_of(baseline, part, baseline_rows=n) for part in full]
            drift[length_s] = max(float(np.quantile(indices, 0.9)), 0.0)
            absent[length_s] = float(np.quantile([np.isnan(part).mean() for part in full], 0.9))
    assert found.lengths_s == tuple(drift)
    assert found.drift.get("x", ()) == pytest.approx(tuple(drift.values()), abs=1e-9)
    assert found.absent.get("x", ()) == pytest.approx(tuple(absent.values()), abs=1e-9)
