"""Which version answers whom."""

from collections import Counter
from itertools import pairwise
from math import sqrt

import pytest
from tests.serving.projects import arm

from octavo.release.manifests import Arm
from octavo.serving.router import Router

UNITS = [f"N{number}" for number in range(20_000)]


def places(*arms: Arm, deployment: str = "eta") -> list[int]:
    router = Router(deployment, arms)
    return [router.place(unit) for unit in UNITS]


def split(percent: int, *, version: int = 2) -> tuple[Arm, Arm]:
    return arm("a", percent=100 - percent), arm("b", role="canary", version=version, percent=percent)


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 99])
def test_an_arm_answers_its_share_of_the_units(percent: int) -> None:
    share = percent / 100
    spread = sqrt(len(UNITS) * share * (1 - share))
    assert abs(Counter(places(*split(percent)))[1] - len(UNITS) * share) < 4 * spread


def test_a_unit_is_answered_by_the_same_arm_each_time_and_everywhere() -> None:
    assert places(*split(30)) == places(*split(30))
    assert [Router("eta", split(30)).place(unit) for unit in ("N1", "N2", "N3", "é", "")] == [0, 1, 1, 0, 0]


def test_a_unit_keeps_its_arm_while_a_canary_grows() -> None:
    steps = [places(*split(percent)) for percent in (1, 10, 50, 99)]
    for before, after in pairwise(steps):
        assert all(now == 1 for then, now in zip(before, after, strict=True) if then == 1)


def test_another_canary_or_deployment_begins_with_other_units() -> None:
    first = {unit for unit, place in zip(UNITS, places(*split(10)), strict=True) if place == 1}
    for others in (places(*split(10, version=3)), places(*split(10), deployment="other")):
        second = {unit for unit, place in zip(UNITS, others, strict=True) if place == 1}
        assert len(first & second) < 0.2 * len(first)


def test_what_the_shares_leave_over_goes_to_the_live_version() -> None:
    assert Counter(places(arm("a", percent=0), arm("b", role="canary", version=2, percent=10)))[0] > 17_000


def test_without_a_live_version_the_last_arm_takes_what_is_left() -> None:
    arms = [arm("a", role="canary", version=1, percent=10), arm("b", role="canary", version=2, percent=10)]
    assert Counter(places(*arms))[1] > 17_000


def test_an_arm_that_answers_everything_is_known_without_asking() -> None:
    assert Router("eta", [arm("a")]).only == 0
    assert Router("eta", split(0)).only == 0
    assert Router("eta", split(100)).only == 1
    assert Router("eta", split(1)).only is None


def test_shares_of_more_than_all_are_cut_off() -> None:
    arms = [arm("a", percent=0), *(arm("b", role="canary", version=v, percent=80) for v in (2, 3))]
    counts = Counter(places(*arms))
    assert counts[0] == 0
    assert counts[1] > 3 * counts[2] > 0
