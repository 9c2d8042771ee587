"""Expectations, held against rows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.unit.features.test_training_sets import build, declare, trip

import octavo as oc
from octavo.definitions.about import Expectation
from octavo.definitions.models import Model
from octavo.features.expectations import Breach, Expected, breaches, text_breaches

Floats = npt.NDArray[np.float64]


def judged(expected: Expectation, values: list[float]) -> list[Breach]:
    column = np.array(values, np.float64)
    return list(breaches("x", expected, column, absent=np.isnan(column)))


@given(
    arrays(np.float64, st.integers(0, 20), elements=st.floats(-5, 5, width=32) | st.just(np.nan)),
    st.integers(-3, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.25, 1.0]),
)
def test_shares_are_those_of_counting_one_by_one(values: Floats, low: int, width: int, allowed: float) -> None:
    expected = oc.expect(minimum=low, maximum=low + width, nulls=allowed, outside=allowed)
    present = [v for v in values if not np.isnan(v)]
    outside = sum(not low <= v <= low + width for v in present) / len(present) if present else 0.0
    absent = (len(values) - len(present)) / len(values) if len(values) else 0.0
    wanted = {Expected.RANGE: outside, Expected.VALUES: absent}
    found = {breach.what: breach.share for breach in breaches("x", expected, values, absent=np.isnan(values))}
    assert found == {what: share for what, share in wanted.items() if share > allowed}


@pytest.mark.parametrize(
    ("expected", "values", "says"),
    [
        (oc.expect(maximum=1), [0, 1, 1, 5], "x: 25 % of the values not at most 1 (from 0 to 5)"),
        (oc.expect(categories=[1, 2]), [1, 2, 3, 3], "x: 50 % of the values not one of 1, 2 (such as 3)"),
        (oc.expect(nulls=0.1), [1, float("nan")], "x: 50 % without a value (expected at most 10 %)"),
    ],
)
def test_a_breach_says_what_was_seen(expected: Expectation, values: list[float], says: str) -> None:
    assert [str(breach) for breach in judged(expected, values)] == [says]


def test_a_rare_breach_is_not_rounded_away() -> None:
    (breach,) = judged(oc.expect(maximum=0), [0.0] * 99_999 + [1.0])
    assert "0.001 %" in str(breach)


def test_the_strangest_strings_are_named_by_how_often_they_come() -> None:
    (breach,) = text_breaches("app", oc.expect(categories=["web"]), {"web": 5, "ios": 2, "tv": 3, None: 4})
    assert (breach.share, breach.seen) == (0.5, "such as 'tv', 'ios'")


def expecting() -> Model:
    @oc.model(
        features=[
            oc.request("distance", oc.Float64, default=-1, expect=oc.expect(minimum=0, nulls=0.2)),
            oc.request("driver", oc.String, expect=oc.expect(categories=["ann"])),
        ],
        label=declare().label,
        metrics=["mae"],
        holdout="2d",
    )
    def trip_delay(train: oc.Dataset) -> None:
        raise AssertionError("not trained here")

    return trip_delay


def test_a_training_set_tells_what_its_training_rows_do_not_meet() -> None:
    made = build(trip(9, distance=None), trip(8), trip(7, driver="bob"), trip(1, distance=-5.0), model=expecting())
    assert made.train.X[:, 0].tolist() == [-1, 3.5, 3.5]
    assert {name: rows.tolist() for name, rows in made.stood_in.items()} == {"distance": [True, False, False]}
    assert [str(breach) for breach in made.breaches] == [
        "distance: 33 % without a value (expected at most 20 %)",
        "driver: 33 % of the values not one of ann (such as 'bob')",
    ]
