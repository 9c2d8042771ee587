"""Gates on the packed bundle and on what was served."""

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pytest
from tests.serving.bundles import PLAN_OF_TESTS, bundle_files, publish_bundle
from tests.unit.registry.gated import NOW, candidate, verdict

import octavo as oc
from octavo.definitions.gates import Gate
from octavo.definitions.plans import LookupPlan
from octavo.registry.gates.footprint import slowest_of_a_hundred_us
from octavo.registry.gates.judging import judge
from octavo.registry.gates.served import Backtest, Replayed, SkewFound
from octavo.stores.memory import MemoryArtifacts

LABELS = np.tile([0.0, 1.0, 2.0, 3.0], 50)
EQUAL = {"labels": LABELS, "predictions": LABELS + 0.1, "champion": LABELS + 0.2}


@dataclass
class Told:
    """A log that says what a test wants."""

    found: SkewFound = field(default_factory=lambda: SkewFound(predictions=10, values=40, wrong=0))
    replayed: Replayed = field(default_factory=lambda: Replayed(given=np.empty(0), answers=np.empty(0)))
    tested: Backtest = field(
        default_factory=lambda: Backtest(labels=np.empty(0), given=np.empty(0), answers=np.empty(0), why="no outcome")
    )
    asked: list[object] = field(default_factory=list)

    def skew(self, *, last: int) -> SkewFound:
        self.asked.append(last)
        return self.found

    def backtest(self, digest: str, *, since: datetime, last: int) -> Backtest:
        self.asked.append((digest, since, last))
        return self.tested

    def replay(self, digest: str, *, last: int) -> Replayed:
        self.asked.append((digest, last))
        return self.replayed


def test_the_bundle_is_weighed_with_all_its_files() -> None:
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts)
    whole = len(artifacts.get(digest)) + sum(map(len, bundle_files().values()))
    for allowed, passed in ((whole, True), (whole - 1, False)):
        found = judge(candidate([oc.small(bytes=allowed)], **EQUAL, artifacts=artifacts, digest=digest))[0]
        assert found.passed is passed
        assert found.numbers["bytes"] == whole


def test_the_packed_model_is_timed() -> None:
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts, plan=_four_inputs())
    slow, quick = (
        judge(candidate([oc.fast(p99_us=bound, rows=2)], **EQUAL, artifacts=artifacts, digest=digest))[0]
        for bound in (1e-3, 1e7)
    )
    assert (slow.passed, quick.passed) == (False, True)
    assert quick.numbers["p99_us"] > 0
    assert "2 rows took" in quick.evidence


def _four_inputs() -> LookupPlan:
    return replace(PLAN_OF_TESTS, inputs=PLAN_OF_TESTS.inputs[:2] + PLAN_OF_TESTS.inputs[3:])


def test_the_time_is_that_of_the_slowest_of_a_hundred_in_the_quietest_round() -> None:
    now, calls = [0.0], [0]

    def outputs(rows: np.ndarray) -> np.ndarray:
        calls[0] += 1
        now[0] += 1e-3 if calls[0] % 20 == 0 else 1e-5
        return rows[:, 0]

    took, n = slowest_of_a_hundred_us(outputs, np.zeros((3, 2), np.float32), n_rows=1, timer=lambda: now[0])
    assert took == pytest.approx(1e3)
    assert n >= 100


@pytest.mark.parametrize("gate", [oc.small(bytes=9), oc.fast(p99_us=9)])
def test_what_was_not_packed_is_not_judged(gate: Gate) -> None:
    assert not verdict(gate, **EQUAL).judged


def test_features_that_are_not_what_the_events_say_fail() -> None:
    log = Told(SkewFound(predictions=10, values=40, wrong=3, why="takings__spent_latest, wrong in 3 of 10 values"))
    found = verdict(oc.no_skew(last=77), **EQUAL, served=log)
    assert not found.passed
    assert found.evidence.startswith("3 of 40 values of 10 predictions are not what the events say: takings__spent")
    assert log.asked == [77]
    assert verdict(oc.no_skew(), **EQUAL, served=Told()).passed


def test_without_predictions_skew_is_not_judged() -> None:
    log = Told(SkewFound(predictions=0, values=0, wrong=0, why="no prediction was recorded yet"))
    found = verdict(oc.no_skew(), **EQUAL, served=log)
    assert (found.passed, found.judged) == (False, False)
    assert verdict(oc.no_skew(needed=False), **EQUAL, served=log).passed
    assert not verdict(oc.no_skew(), **EQUAL).judged


@pytest.mark.parametrize("gate", [oc.no_skew(), oc.replays(), oc.better_on_log("mae")])
def test_before_anything_is_live_nothing_was_served(gate: Gate) -> None:
    assert verdict(gate, labels=LABELS, predictions=LABELS).passed


def test_recorded_requests_must_all_be_answered() -> None:
    answered = np.linspace(0, 1, 10)
    log = Told(replayed=Replayed(given=answered, answers=answered + 0.01))
    found = verdict(oc.replays(last=10), **EQUAL, served=log, digest="sha256:1")
    assert found.passed
    assert found.evidence.startswith("all 10 recorded requests are answered; 10 answers (100.00%) differ at all")
    assert log.asked == [("sha256:1", 10)]
    log.replayed = Replayed(given=answered, answers=answered, failed=2, why="seats is missing")
    found = verdict(oc.replays(last=10), **EQUAL, served=log)
    assert not found.passed
    assert found.evidence.startswith("2 of 12 recorded requests are not answered (seats is missing)")


@pytest.mark.parametrize(("differing", "passed"), [(0.1, False), (0.2, True)])
def test_no_more_answers_may_differ_than_is_said(differing: float, passed: bool) -> None:
    given = np.zeros(10)
    log = Told(replayed=Replayed(given=given, answers=given + np.where(np.arange(10) < 2, 1.0, 0.01)))
    found = verdict(oc.replays(within=0.5, differing=differing), **EQUAL, served=log)
    assert found.passed is passed
    assert found.numbers["differing"] == pytest.approx(0.2)
    assert found.numbers["largest_difference"] == pytest.approx(1.0)


def test_a_log_without_requests_is_not_judged() -> None:
    empty = Replayed(given=np.empty(0), answers=np.empty(0), skipped=4, why="x was not looked up then")
    found = verdict(oc.replays(), **EQUAL, served=Told(replayed=empty))
    assert (found.passed, found.judged) == (False, False)
    assert found.evidence == "not judged: x was not looked up then"


def log_off_by(error: float) -> Told:
    """A log of answers that are off by one, where the version is off by `error`."""
    labels = np.random.default_rng(0).normal(0, 5, 300)
    return Told(tested=Backtest(labels=labels, given=labels + 1.0, answers=labels + error))


@pytest.mark.parametrize(("error", "passed"), [(0.9, True), (1.0, False), (1.1, False)])
def test_what_was_answered_must_be_bettered_by_the_outcomes(error: float, passed: bool) -> None:
    log = log_off_by(error)
    found = verdict(oc.better_on_log("mae", last=500), **EQUAL, served=log, digest="sha256:1")
    assert found.passed is passed
    assert found.numbers["rows"] == 300
    assert found.numbers["answered"] == pytest.approx(1.0)
    assert log.asked == [("sha256:1", NOW, 500)]  # nothing that it may have learned from


def test_a_margin_and_a_confidence_hold_for_a_backtest_too() -> None:
    assert verdict(oc.better_on_log("mae", margin=0.2), **EQUAL, served=log_off_by(1.1)).passed
    assert verdict(oc.better_on_log("mae", confidence=0.95, margin=0.05), **EQUAL, served=log_off_by(1.0)).passed
    assert not verdict(oc.better_on_log("mae", confidence=0.95), **EQUAL, served=log_off_by(1.0)).passed


def test_too_few_outcomes_judge_nothing() -> None:
    found = verdict(oc.better_on_log("mae", min_rows=301), **EQUAL, served=log_off_by(0.5))
    assert (found.passed, found.judged) == (False, False)
    assert "300 outcomes are known of what was asked since 2030-01-01 00:00; 301 are needed" in found.evidence
    assert "no outcome; 200 are needed" in verdict(oc.better_on_log("mae"), **EQUAL, served=Told()).evidence
