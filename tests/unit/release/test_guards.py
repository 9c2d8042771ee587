"""What ends a stage early, and what does not."""

from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, HOUR, START, set_stage

from octavo.release.guards import ArmStatistics, judge, measure

LIVE = ArmStatistics(rows=1_000, mean=10.0, std=5.0, latency_p50_us=4_000.0)


def candidate(**changes: float) -> ArmStatistics:
    fields = {"rows": 1_000, "failed": 0, "mean": 10.5, "std": 5.5, "latency_p50_us": 5_000.0} | changes
    return ArmStatistics(**fields)  # type: ignore[arg-type]  # of tests


def test_a_version_that_does_as_the_live_one_goes_on() -> None:
    verdict = judge(LIVE, candidate(), is_shadow=True)
    assert verdict.complaint == ""
    assert verdict.summary == (
        "1000 predictions beside 1000 live ones: 0.0% failed, median latency 5.0 ms (live 4.0 ms), "
        "scores shifted by 0.10 standard deviations, spread ratio 1.10"
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"failed": 20}, "more than 1% of its predictions failed"),
        ({"latency_p50_us": 57_000.0}, "much slower"),
        ({"mean": 16.0}, "its scores lie elsewhere"),
        ({"std": 30.0}, "spread otherwise"),
        ({"std": 0.0}, "spread otherwise"),
    ],
)
def test_a_version_that_does_worse_is_complained_of(changes: dict[str, float], complaint: str) -> None:
    assert complaint in judge(LIVE, candidate(**changes), is_shadow=True).complaint


def test_a_shadow_may_take_the_time_of_the_version_that_answers_before_it() -> None:
    slower = candidate(latency_p50_us=30_000.0)
    assert judge(LIVE, slower, is_shadow=True).complaint == ""
    assert "much slower" in judge(LIVE, slower, is_shadow=False).complaint


def test_what_a_shadow_has_not_seen_is_not_held_against_it() -> None:
    assert judge(LIVE, candidate(rows=100), is_shadow=True).complaint == ""
    assert "predictions failed" in judge(LIVE, candidate(rows=100, failed=5), is_shadow=True).complaint


def test_too_few_predictions_are_not_judged() -> None:
    verdict = judge(ArmStatistics(rows=29), candidate(rows=29, failed=29), is_shadow=True)
    assert (verdict.complaint, verdict.summary) == ("", "29 predictions beside 29 live ones: too few to judge")


def test_two_failures_are_no_pattern() -> None:
    assert judge(ArmStatistics(rows=100), candidate(rows=100, failed=2, mean=0, std=0), is_shadow=True).complaint == ""


def test_constant_scores_are_compared_by_their_size() -> None:
    constant = ArmStatistics(rows=100, mean=2.0)
    assert judge(constant, candidate(rows=100, mean=2.1, std=0.0), is_shadow=True).complaint == ""
    assert "lie elsewhere" in judge(constant, candidate(rows=100, mean=9.0, std=0.0), is_shadow=True).complaint


def test_arms_are_measured_over_the_stage_from_the_candidates_first_prediction_on(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.predict(1, [100.0] * 10)
    stage.wait(HOUR)
    stage.predict(1, [1.0, 3.0, float("nan")], latency_us=2_000)
    stage.predict(2, [5.0, float("inf")], arm="shadow")
    stage.wait(HOUR)
    stage.predict(2, [7.0])
    found = measure(stage.context.stores.tables, DEPLOYMENT, candidate=2, since=START, until=START + 2 * HOUR)
    assert found == {
        1: ArmStatistics(rows=3, failed=1, mean=2.0, std=1.0, latency_p50_us=2_000.0),
        2: ArmStatistics(rows=2, failed=1, mean=5.0, std=0.0, latency_p50_us=1_000.0),
    }


def test_what_is_answered_beside_the_rollout_is_not_measured(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.predict(2, [1.0], arm="canary")
    for arm in ("experiment", "holdout", "explore"):
        stage.predict(2, [9.0], arm=arm)
    found = measure(stage.context.stores.tables, DEPLOYMENT, candidate=2, since=START, until=START + HOUR)
    assert (found[2].rows, found[2].mean) == (1, 1.0)


def test_before_any_prediction_there_is_nothing_to_measure(tmp_path: Path) -> None:
    tables = set_stage(tmp_path).context.stores.tables
    assert measure(tables, DEPLOYMENT, candidate=2, since=START, until=START + HOUR) == {}
