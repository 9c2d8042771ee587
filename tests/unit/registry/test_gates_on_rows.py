"""Gates on parts of the held-out rows: slices beside the champion, groups beside each other, and the training rows."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.registry.gated import verdict, version

import octavo as oc
from octavo.registry.champions import Champion
from octavo.registry.gates.fairness import agresti_caffo

Floats = npt.NDArray[np.float64]
N = 3_000
RANDOM = np.random.default_rng(3)
SHOP = np.array(["north", "south", "east"])[RANDOM.integers(0, 3, N)]
LABELS = RANDOM.normal(10, 3, N)
NOISE = RANDOM.normal(0, 1, N)
ROWS = {"shop": SHOP.tolist(), "number": np.arange(N)}
NO_WORSE = oc.no_worse_on(["shop"], metric="mae")


def test_worse_on_a_slice_fails_though_better_on_the_whole() -> None:
    ours = LABELS + NOISE * np.where(SHOP == "east", 1.4, 0.2)
    found = verdict(NO_WORSE, labels=LABELS, predictions=ours, champion=LABELS + NOISE, rows=ROWS)
    assert not found.passed
    assert found.evidence.startswith("worse than version 3 by mae on shop = east (")
    assert found.numbers["worse[shop = east]"] > 0 > found.numbers["worse[shop = north]"]
    assert found.numbers["slices"] == 3


def test_by_how_much_it_may_be_worse() -> None:
    ours = LABELS + NOISE * np.where(SHOP == "east", 1.4, 0.2)
    lenient = oc.no_worse_on(["shop"], metric="mae", by=1.0)
    assert verdict(lenient, labels=LABELS, predictions=ours, champion=LABELS + NOISE, rows=ROWS).passed


def test_a_condition_is_a_slice_of_inputs_and_columns() -> None:
    gate = oc.no_worse_on([oc.where("shop == 'east' and takings__spent_mean_24h > 10")], metric="mae")
    ours = LABELS + NOISE * np.where((SHOP == "east") & (LABELS > 10), 2.0, 0.1)
    found = verdict(gate, labels=LABELS, predictions=ours, champion=LABELS + NOISE, rows=ROWS)
    assert not found.passed
    assert "on shop == 'east' and takings__spent_mean_24h > 10 (" in found.evidence


def test_many_slices_of_equal_versions_seldom_fail() -> None:
    failed = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        slices = {"number": random.integers(0, 10, N)}
        ours, theirs = (LABELS + random.normal(0, 1, N) for _ in range(2))
        gate = oc.no_worse_on(["number"], metric="mae")
        failed += not verdict(gate, labels=LABELS, predictions=ours, champion=theirs, rows=slices).passed
    assert failed <= 6  # of 40 at 5 %: more than six in about one of a hundred trials


def test_small_slices_are_not_judged_and_that_is_said() -> None:
    shop = np.where(np.arange(N) < 100, "tiny", "large").tolist()
    found = verdict(NO_WORSE, labels=LABELS, predictions=LABELS, champion=LABELS + NOISE, rows={"shop": shop})
    assert found.passed
    assert "1 of fewer than 200 rows were not judged" in found.evidence


@pytest.mark.parametrize(("needed", "passed"), [(True, False), (False, True)])
def test_what_cannot_be_judged_passes_only_where_it_need_not_be(needed: bool, passed: bool) -> None:
    gate = oc.no_worse_on(["shop"], metric="mae", min_rows=N + 1, needed=needed)
    found = verdict(gate, labels=LABELS, predictions=LABELS, champion=LABELS + NOISE, rows=ROWS)
    assert (found.passed, found.judged) == (passed, False)
    assert found.evidence.startswith("not judged: none of 3 slices has 3,001 rows")


def test_without_a_champion_there_is_nothing_to_be_worse_than() -> None:
    assert verdict(NO_WORSE, labels=LABELS, predictions=LABELS, rows=ROWS).passed
    silent = Champion(version=version(), predictions=None, why="version 3 takes x")
    assert not verdict(NO_WORSE, labels=LABELS, predictions=LABELS, champion=silent, rows=ROWS).judged


POSITIVE = (RANDOM.random(N) < 0.4).astype(float)


def chances(rate: dict[str, float]) -> Floats:
    """Predictions that are positive in a share of each shop."""
    chosen = np.zeros(N, np.bool_)
    for shop, share in rate.items():
        [places] = np.nonzero(shop == SHOP)
        chosen[places[: round(share * len(places))]] = True
    return np.where(chosen, 0.9, 0.1)


def test_groups_that_are_treated_alike_are_fair() -> None:
    gate = oc.fair("shop", within=0.15)
    alike = chances({"north": 0.4, "south": 0.41, "east": 0.39})
    found = verdict(gate, labels=POSITIVE, predictions=alike, rows=ROWS, above=0.5)
    assert found.passed
    assert found.numbers["groups"] == 3
    assert found.numbers["selection_rate[= south]"] == pytest.approx(0.41, abs=0.01)


def test_groups_far_apart_are_not() -> None:
    gate = oc.fair("shop", within=0.15)
    apart = chances({"north": 0.6, "south": 0.4, "east": 0.3})
    found = verdict(gate, labels=POSITIVE, predictions=apart, rows=ROWS, above=0.5)
    assert not found.passed
    assert "where shop = north" in found.evidence
    assert "where shop = east" in found.evidence
    low, high = found.numbers["difference_low"], found.numbers["difference_high"]
    assert low < found.numbers["difference"] == pytest.approx(0.3, abs=0.01)
    assert high > 0.3


def test_with_a_confidence_the_far_end_must_lie_within() -> None:
    nearly = chances({"north": 0.45, "south": 0.4, "east": 0.4})
    for confidence, passed in ((0.95, False), (None, True)):
        gate = oc.fair("shop", within=0.06, confidence=confidence)
        assert verdict(gate, labels=POSITIVE, predictions=nearly, rows=ROWS, above=0.5).passed is passed


@pytest.mark.parametrize(
    ("metric", "rates"),
    [
        ("tpr", lambda y, chosen: chosen[y > 0].mean()),
        ("fpr", lambda y, chosen: chosen[y == 0].mean()),
        ("precision", lambda y, chosen: y[chosen].mean()),
        ("accuracy", lambda y, chosen: (chosen == (y > 0)).mean()),
    ],
)
def test_rates_are_those_of_the_field(metric: str, rates: Callable[[Floats, Floats], float]) -> None:
    predictions = RANDOM.random(N)
    gate = oc.fair("shop", metric=metric, within=1.0, threshold=0.3)
    found = verdict(gate, labels=POSITIVE, predictions=predictions, rows=ROWS, above=0.5)
    for shop in ("north", "south", "east"):
        here = shop == SHOP
        assert found.numbers[f"{metric}[= {shop}]"] == pytest.approx(rates(POSITIVE[here], predictions[here] >= 0.3))


@pytest.mark.parametrize(("metric", "passed"), [("error", True), ("bias", False)])
def test_numbers_may_err_alike_and_be_biased(metric: str, passed: bool) -> None:
    ours = LABELS + np.where(SHOP == "east", 1.0, -1.0)
    gate = oc.fair("shop", metric=metric, within=0.5)
    assert verdict(gate, labels=LABELS, predictions=ours, rows=ROWS).passed is passed


def test_an_attribute_of_one_group_cannot_be_judged() -> None:
    found = verdict(
        oc.fair("shop", within=0.1), labels=POSITIVE, predictions=POSITIVE, rows={"shop": ["north"] * N}, above=0.5
    )
    assert not found.judged


@settings(deadline=None, max_examples=30)
@given(
    shares=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)),
    rows=st.tuples(st.integers(10, 200), st.integers(10, 200)),
    seed=st.integers(0, 10_000),
)
def test_agresti_caffo_covers_the_true_difference_nearly_as_often_as_it_says(
    shares: tuple[float, float], rows: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    drawn = [random.binomial(n, share, 400) for n, share in zip(rows, shares, strict=True)]
    inside = 0
    for first, second in zip(*drawn, strict=True):
        low, high = agresti_caffo((int(first), rows[0]), (int(second), rows[1]), z=1.96)
        inside += low <= shares[0] - shares[1] <= high
    assert inside / 400 >= 0.89


def test_training_rows_as_they_should_be() -> None:
    gate = oc.data_checks(rows=100, nulls=0.1, label=(5, 15))
    noisy = {name: RANDOM.normal(0, 1, N) for name in ("takings__spent_mean_24h", "takings__events_count_24h")}
    found = verdict(
        gate, labels=LABELS, predictions=LABELS + NOISE, inputs=noisy | {"takings__spent_latest": LABELS + NOISE * 3}
    )
    assert found.passed, found.evidence
    assert found.numbers["rows"] == N
    assert 0.9 < found.numbers["most_knowing"] < 0.99


def test_each_check_that_fails_is_named() -> None:
    missing = np.where(np.arange(N) % 3 == 0, np.nan, NOISE)
    gate = oc.data_checks(rows=N + 1, nulls={"takings__events_count_24h": 0.2}, label=(0, 5))
    found = verdict(gate, labels=LABELS, predictions=NOISE, inputs={"takings__events_count_24h": missing})
    assert not found.passed
    for said in (
        "3,000 training rows are fewer than 3,001",
        "takings__events_count_24h 33.33% (at most 20.00%)",
        "the mean label is 9.98, not from 0 to 5",
        "takings__spent_mean_24h alone sorts the labels (rank correlation 1, the bound 0.99); was it known",
    ):
        assert said in found.evidence


def test_that_a_value_is_missing_may_tell_the_label() -> None:
    leak = np.where(POSITIVE > 0, np.nan, NOISE)
    quiet = {name: RANDOM.normal(0, 1, N) for name in ("takings__spent_mean_24h", "takings__events_count_24h")}
    found = verdict(
        oc.data_checks(),
        labels=POSITIVE,
        predictions=np.full(N, 0.4),
        inputs=quiet | {"takings__spent_latest": leak},
        above=0.5,
    )
    assert not found.passed
    assert found.evidence.startswith("takings__spent_latest alone sorts the labels (area under the curve 1")


def test_a_leak_is_found_in_either_direction() -> None:
    found = verdict(oc.data_checks(), labels=LABELS, predictions=NOISE, inputs={"takings__events_count_24h": -LABELS})
    assert "takings__events_count_24h alone sorts the labels" in found.evidence
