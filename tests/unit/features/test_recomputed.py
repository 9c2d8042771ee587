"""How far two ways of adding up may differ."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.definitions.aggregates import Operation
from octavo.features.audit.recomputed import _is_near
from octavo.features.values import float32

numbers = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=200)


def near(operation: Operation, a: float, b: float, *, of: list[float]) -> bool:
    ours, theirs = (np.array([float32(value)], np.float64) for value in (a, b))
    count, largest = np.array([float(len(of))]), np.array([max(map(abs, of))])
    return bool(_is_near(operation, ours, theirs, count=count, largest=largest)[0])


@given(numbers, st.randoms(use_true_random=False))
def test_any_order_of_adding_up_is_near_the_exact_sum(values: list[float], chance: random.Random) -> None:
    exact = math.fsum(values)
    chance.shuffle(values)
    assert near(Operation.SUM, sum(values), exact, of=values)
    assert near(Operation.MEAN, sum(values) / len(values), exact / len(values), of=values)


@given(numbers)
def test_a_variance_by_running_updates_is_near_that_of_two_passes(values: list[float]) -> None:
    mean = spread = 0.0
    for n, value in enumerate(values, start=1):
        apart = value - mean
        mean += apart / n
        spread += apart * (value - mean)
    assert near(Operation.STD, math.sqrt(spread / len(values)), float(np.std(values)), of=values)


@pytest.mark.parametrize("operation", [Operation.SUM, Operation.MEAN, Operation.STD])
def test_a_value_that_is_off_by_a_thousandth_is_not_near(operation: Operation) -> None:
    assert not near(operation, 3.0, 3.003, of=[1.0, 2.0, 3.0, 4.0])
