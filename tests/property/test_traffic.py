"""The division of traffic, whatever the shares: probabilities that sum to one, and frequencies that are theirs."""

from math import sqrt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.release.manifests import Arm
from octavo.release.shares import chances
from octavo.serving.router import Router
from tests.serving.projects import arm

N = 4_000
UNITS, IDS = [f"unit {n}" for n in range(N)], [f"id {n}" for n in range(N)]
percentages = st.integers(0, 10_000).map(lambda points: points / 100)


@st.composite
def divisions(draw: st.DrawFn) -> list[Arm]:
    """Arms as a manifest may have them, each of another version."""
    canary, held = draw(percentages), draw(percentages)
    control = draw(percentages)
    challenger = draw(st.integers(0, round(100 * (100 - control))).map(lambda points: points / 100))
    explored = draw(percentages)
    shares = (
        ("live", 100 - canary, ""),
        ("canary", canary, ""),
        ("experiment", control, "x/control"),
        ("experiment", challenger, "x/challenger"),
        ("holdout", held, "holdout"),
        ("explore", explored, "explore"),
        ("shadow", 0.0, ""),
    )
    return [
        arm(str(version), role=role, version=version, percent=percent, group=group)
        for version, (role, percent, group) in enumerate(shares, start=1)
        if role == "live" or draw(st.booleans())
    ]


@given(divisions())
def test_probabilities_sum_to_one_and_none_is_below_zero(arms: list[Arm]) -> None:
    found = chances(arms)
    assert abs(sum(found) - 1) < 1e-9
    assert min(found) >= 0
    assert all(chance == 0 for one, chance in zip(arms, found, strict=True) if one.role == "shadow")


@given(divisions(), st.text(max_size=5))
@settings(deadline=None, max_examples=60)
def test_each_version_answers_as_often_as_its_propensity_says(arms: list[Arm], deployment: str) -> None:
    answering = [one for one in arms if one.role != "shadow"]
    router = Router(deployment, answering)
    counts = np.bincount(router.places(IDS, UNITS), minlength=len(answering))
    for count, p in zip(counts, router.propensities, strict=True):
        assert abs(count - N * p) <= 6 * sqrt(N * p * (1 - p)) + 1e-6


@given(divisions(), percentages)
@settings(deadline=None, max_examples=40)
def test_a_canary_that_grows_takes_units_only_from_the_live_version(arms: list[Arm], percent: float) -> None:
    others = [one for one in arms if one.role not in ("shadow", "canary", "live")]

    def places(share: float) -> np.ndarray:
        both = [arm("a", percent=100 - share), arm("b", role="canary", version=9, percent=share)]
        return Router("eta", [*both, *others]).places(IDS, UNITS)

    before, after = places(percent / 2), places(percent)
    moved = before != after
    assert set(before[moved]) <= {0}
    assert set(after[moved]) <= {1}
