"""Rounded values and their counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import features as oracle

from octavo.features.online.reading import ranked
from octavo.features.quantiles import counts_of, rounded

FINITE = st.floats(-1e290, 1e290, allow_subnormal=False)


@given(st.lists(FINITE, min_size=1))
def test_rounding_is_that_of_the_oracle(values: list[float]) -> None:
    assert rounded(np.array(values)).tolist() == [oracle.rounded(value) for value in values]


@given(st.lists(FINITE, min_size=1, max_size=30), st.data())
def test_a_rank_among_counts_is_that_among_rounded_values(values: list[float], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(values)))
    assert ranked(counts_of(np.array(values)), rank) == sorted(map(oracle.rounded, values))[rank - 1]


def test_a_zero_word_counts_nothing() -> None:
    counts = np.array([0, *counts_of(np.array([-1.0, 2.0])), 0])
    assert [ranked(counts, rank) for rank in (1, 2)] == [-1.0, 2.0]


def test_both_zeros_are_one_value() -> None:
    assert len(set(counts_of(np.array([0.0, -0.0])).tolist())) == 1


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_a_huge_value_stays_beyond_float32(value: float) -> None:
    assert ranked(counts_of(np.array([value])), 1) == pytest.approx(value, rel=1e-5)
