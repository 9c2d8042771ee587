"""Sums that decay, as states keep them."""

import numpy as np
import pytest
from tests.plants import SECOND, machines, readings

import octavo as oc
from octavo.definitions.plans import PlannedView
from octavo.features.online.keys import generation_of
from octavo.features.online.lookup import Lookup
from octavo.features.online.state import StateCodec

HOUR = 3_600 * SECOND
START = 400_000 * HOUR
view = oc.FeatureView(
    "machines",
    entity=machines.entities,
    source=readings,
    features=[oc.decayed_sum("amount", half_life="1h", over="2d"), oc.sum("amount", over="2d")],
)


def value_of(state: bytes, at_us: int) -> float:
    planned = PlannedView(name="machines", entity_keys=("machine",), features=view.features)
    lookup = Lookup([generation_of(view).encode()], [planned])
    return float(lookup.read([state], [0], n_rows=1, at_us=at_us).values[0, 0])


def state_of(times_us: list[int], amounts: list[float], *, step: int) -> bytes:
    """The state after some events, which come `step` at a time; more than 32 are folded at once."""
    codec, state = StateCodec(generation_of(view).layout), None
    for first in range(0, len(times_us), step):
        times = np.array(times_us[first : first + step])
        ids = np.zeros((len(times), 2), np.uint64)
        ids[:, 1] = np.arange(first, first + len(times))
        values = np.array(amounts[first : first + step])[:, None]
        rows = codec.rows(event_us=times, available_us=times, ids=ids, values=values)
        [state] = codec.update([state], rows, np.array([0, len(rows)]), settled_us=2**62)
    assert state is not None
    return state


@pytest.mark.parametrize("half_lives", [1, 3, 47])
def test_a_value_counts_half_after_each_half_life(half_lives: int) -> None:
    state = state_of([START], [3.0], step=1)
    assert value_of(state, START + half_lives * HOUR) == 3.0 / 2**half_lives


def test_a_sum_loses_nothing_however_often_it_is_moved_to_a_later_moment() -> None:
    times = [START + number * HOUR // 40 for number in range(1_600)]
    amounts = [1.0] + [0.0] * 1_599
    often, once = state_of(times, amounts, step=40), state_of(times, amounts, step=1_600)
    at_us = times[-1] + 1
    assert value_of(often, at_us) == value_of(once, at_us) == np.float32(2.0 ** (-(at_us - START) / HOUR))


def test_a_gap_of_years_leaves_nothing_of_what_was_before() -> None:
    times = [START + number for number in range(40)] + [START + 80_000 * HOUR + number for number in range(40)]
    state = state_of(times, [1e300] * 40 + [1.0] * 40, step=40)
    assert value_of(state, times[-1]) == pytest.approx(40.0, rel=1e-6)
