"""Which version answers whom."""

from collections import Counter
from itertools import pairwise
from math import sqrt

import pytest
from tests.serving.projects import arm

from octavo.errors import IntegrityError
from octavo.release.manifests import Arm
from octavo.serving.router import Router, Sampler

UNITS = [f"N{number}" for number in range(20_000)]
IDS = [f"id {number}" for number in range(20_000)]


def places(*arms: Arm, deployment: str = "eta", units: list[str] = UNITS, ids: list[str] = IDS) -> list[int]:
    return Router(deployment, arms).places(ids, units).tolist()


def split(percent: float, *, version: int = 2) -> tuple[Arm, Arm]:
    return arm("a", percent=100 - percent), arm("b", role="canary", version=version, percent=percent)


def comparing(name: str, *, percent: float = 50) -> list[Arm]:
    control, challenger = (
        arm(digest, role="experiment", version=version, percent=percent, group=f"{name}/{version}")
        for digest, version in (("a", 1), ("b", 2))
    )
    return [control, challenger]


def chosen(places: list[int], place: int) -> set[str]:
    return {unit for unit, found in zip(UNITS, places, strict=True) if found == place}


@pytest.mark.parametrize("percent", [0.25, 1, 5, 25, 50, 99])
def test_an_arm_answers_its_share_of_the_units(percent: float) -> None:
    share = percent / 100
    spread = sqrt(len(UNITS) * share * (1 - share))
    assert abs(Counter(places(*split(percent)))[1] - len(UNITS) * share) < 4 * spread


def test_a_unit_is_answered_by_the_same_arm_each_time_and_everywhere() -> None:
    assert places(*split(30)) == places(*split(30))
    assert [Router("eta", split(30)).place("id", unit) for unit in ("N1", "N2", "N3", "é", "")] == [0, 1, 0, 0, 0]


def test_one_row_goes_where_it_would_go_among_many() -> None:
    arms = [*split(30), *comparing("speed", percent=20), arm("c", role="explore", version=3, percent=10)]
    router = Router("eta", arms)
    many = router.places(IDS, UNITS).tolist()
    assert [router.place(one, unit) for one, unit in zip(IDS[:500], UNITS[:500], strict=True)] == many[:500]


def test_text_that_utf_8_cannot_write_is_a_unit_like_any_other() -> None:
    assert Router("eta", split(50)).place("id", "\ud800") in (0, 1)


def test_a_unit_keeps_its_arm_while_a_canary_grows() -> None:
    steps = [places(*split(percent)) for percent in (0.5, 1, 10, 50, 99)]
    for before, after in pairwise(steps):
        assert all(now == 1 for then, now in zip(before, after, strict=True) if then == 1)


def test_another_canary_or_deployment_begins_with_other_units() -> None:
    first = chosen(places(*split(10)), 1)
    for others in (places(*split(10, version=3)), places(*split(10), deployment="other")):
        assert len(first & chosen(others, 1)) < 0.2 * len(first)


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


def test_shares_of_more_than_all_are_refused() -> None:
    canaries = [arm("b", role="canary", version=version, percent=80) for version in (2, 3)]
    with pytest.raises(IntegrityError, match="no division of the traffic: live 100 %, canary 80 %, canary 80 %"):
        Router("eta", [arm("a"), *canaries])


def test_an_experiment_leaves_the_canary_its_share_of_the_other_units() -> None:
    counts = Counter(places(*split(10), *comparing("speed", percent=25)))
    assert counts[2] == pytest.approx(5_000, abs=250)
    assert counts[3] == pytest.approx(5_000, abs=250)
    assert counts[1] == pytest.approx(1_000, abs=130)


def test_a_unit_keeps_its_experiments_arm_whatever_canary_comes() -> None:
    alone = places(arm("a"), *comparing("speed", percent=30))
    canary = arm("c", role="canary", version=3, percent=50)
    grown = places(arm("a", percent=50), *comparing("speed", percent=30), canary)
    assert chosen(alone, 1) == chosen(grown, 1)
    assert chosen(alone, 2) == chosen(grown, 2)


def test_two_experiments_divide_the_units_independently() -> None:
    first, second = (chosen(places(arm("a"), *comparing(name)), 2) for name in ("speed", "price"))
    assert len(first & second) == pytest.approx(len(UNITS) / 4, abs=300)


def test_units_that_are_held_out_are_in_no_experiment_and_no_canary() -> None:
    held = arm("z", role="holdout", version=9, percent=10, group="holdout")
    without = chosen(places(arm("a"), *comparing("speed")), 2)
    arms = [*split(50), *comparing("speed", percent=40), held]
    assert Counter(places(*arms))[4] == pytest.approx(2_000, abs=180)
    assert chosen(places(*arms), 4) == chosen(places(arm("a"), held), 1)
    assert 0.05 < len(chosen(places(*arms), 4) & without) / len(without) < 0.15, "independently of the experiment"


def test_exploration_draws_predictions_and_not_units() -> None:
    explored = arm("b", role="explore", version=2, percent=20, group="explore")
    one_unit = places(arm("a"), explored, units=["N1"] * len(IDS))
    assert Counter(one_unit)[1] == pytest.approx(4_000, abs=230)
    assert places(arm("a"), explored, ids=["id"] * len(IDS)) in ([0] * len(IDS), [1] * len(IDS))


def test_a_shadow_sees_its_share_of_the_predictions_always_the_same() -> None:
    rows = Sampler("eta\0002", 10).rows(IDS)
    assert rows is not None
    assert len(rows) == pytest.approx(2_000, abs=180)
    assert Sampler("eta\0002", 10).rows(IDS).tolist() == rows.tolist()  # type: ignore[union-attr]  # as above
    more = Sampler("eta\0002", 50).rows(IDS)
    assert more is not None
    assert set(rows) < set(more), "it goes on seeing those"


def test_a_shadow_that_sees_all_is_told_so() -> None:
    assert Sampler("eta\0002", 100).rows(IDS) is None
