"""Gates on metrics: what passes, and that the evidence says why in numbers."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from tests.unit.registry import gated
from tests.unit.registry.gated import version
from tests.workshop import boosted, declare

import octavo as oc
from octavo.definitions.gates import Gate
from octavo.errors import InvalidDefinition
from octavo.registry.champions import Champion
from octavo.registry.versions import GateResult

Floats = npt.NDArray[np.float64]
LABELS = np.tile([0.0, 1.0, 2.0, 3.0], 100)


def off_by(error: float) -> Floats:
    return LABELS + error


def verdict(gate: Gate, predictions: Floats, *, champion: Champion | None = None) -> GateResult:
    """How a gate judges predictions where the constant is off by 1 and the declared baseline by 2."""
    return gated.verdict(gate, labels=LABELS, predictions=predictions, champion=champion)


@pytest.mark.parametrize(("bound", "passed"), [(0.5, True), (0.49, False)])
def test_a_bound_may_be_reached_and_not_crossed(bound: float, passed: bool) -> None:
    result = verdict(oc.at_most("mae", bound), off_by(0.5))
    assert result == GateResult(
        gate=f"at_most(mae, {bound:g})",
        passed=passed,
        evidence=f"mae is 0.5 (0.5 to 0.5); the bound is {bound:g}",
        numbers={"mae": 0.5, "mae_low": 0.5, "mae_high": 0.5, "bound": bound},
    )


@pytest.mark.parametrize(("bound", "passed"), [(0.8, True), (0.81, False)])
def test_a_lower_bound_is_for_what_should_be_high(bound: float, passed: bool) -> None:
    assert verdict(oc.at_least("r2", bound), off_by(0.5)).passed is passed


@pytest.mark.parametrize(("error", "passed"), [(0.9, True), (1.0, False), (1.5, False), (3.0, False)])
def test_every_baseline_must_be_beaten(error: float, passed: bool) -> None:
    result = verdict(oc.better_than_baseline("mae"), off_by(error))
    assert result.passed is passed
    assert result.evidence.endswith("baselines: constant 1, takings__spent_latest 2")


def test_without_a_live_version_there_is_nothing_to_beat() -> None:
    result = verdict(oc.better_than_champion("mae"), off_by(9.0))
    assert result.passed
    assert result.evidence == "mae is 9 (9 to 9); no version is live yet"


@pytest.mark.parametrize(("theirs", "passed"), [(0.6, True), (0.5, False), (0.4, False)])
def test_the_live_version_must_be_beaten_on_the_same_rows(theirs: float, passed: bool) -> None:
    champion = Champion(version=version(), predictions=off_by(theirs))
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert result.passed is passed
    assert f"version 3 has {theirs:.4g} on the same 400 rows" in result.evidence


def test_higher_is_better_where_a_metric_says_so() -> None:
    champion = Champion(version=version(), predictions=off_by(0.5))
    assert verdict(oc.better_than_champion("r2"), off_by(0.4), champion=champion).passed
    assert not verdict(oc.better_than_champion("r2"), off_by(0.6), champion=champion).passed


def test_the_evidence_tells_a_sure_difference_from_one_that_may_be_chance() -> None:
    noise = np.random.default_rng(0).normal(0, 1, len(LABELS))
    sure = Champion(version=version(), predictions=off_by(0.0) + noise * 3)
    unsure = Champion(version=version(), predictions=off_by(0.0) + np.roll(noise, 1))
    gate, ours = oc.better_than_champion("mae"), off_by(0.0) + noise
    assert "chance" not in verdict(gate, ours, champion=sure).evidence
    assert verdict(gate, ours, champion=unsure).evidence.endswith("which may be chance")


def test_the_evidence_says_how_many_rows_the_live_version_may_have_learned_from() -> None:
    champion = Champion(version=version(), predictions=off_by(1.0), learned=120)
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert "the same 400 rows, of which it may have learned from 120, a difference of -0.5" in result.evidence


@pytest.mark.parametrize(("record", "passed"), [(0.6, True), (0.4, False)])
def test_a_live_version_that_cannot_answer_the_rows_is_met_by_its_record(record: float, passed: bool) -> None:
    champion = Champion(version=version(mae=record), predictions=None, why="version 3 takes x, which these rows lack")
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert result.passed is passed
    assert f"version 3 takes x, which these rows lack; on its own held-out rows it had {record}" in result.evidence


def test_a_live_version_that_was_never_judged_so_is_no_hindrance() -> None:
    champion = Champion(version=version(log_loss=0.1), predictions=None, why="version 3 is a binary model")
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert result.passed
    assert "version 3 is a binary model, and it was never judged by mae" in result.evidence


def test_with_a_confidence_the_worse_end_of_the_interval_counts() -> None:
    noise = np.random.default_rng(0).normal(0, 1, len(LABELS))
    unsure = Champion(version=version(), predictions=LABELS + np.roll(noise, 1) * 1.02)
    gate = oc.better_than_champion("mae", confidence=0.95)
    assert verdict(oc.better_than_champion("mae"), LABELS + noise, champion=unsure).passed
    found = verdict(gate, LABELS + noise, champion=unsure)
    assert not found.passed
    assert found.evidence.endswith("at 0.95 confidence; its worse end counts")
    assert found.numbers["difference"] < 0 < found.numbers["difference_high"]
    sure = Champion(version=version(), predictions=LABELS + noise * 3)
    assert verdict(gate, LABELS + noise, champion=sure).passed


def test_a_margin_makes_it_a_test_of_not_being_inferior() -> None:
    noise = np.random.default_rng(0).normal(0, 1, len(LABELS))
    alike = Champion(version=version(), predictions=LABELS + np.roll(noise, 1))
    for margin, passed in ((0.0, False), (0.5, True)):
        gate = oc.better_than_champion("mae", confidence=0.95, margin=margin)
        assert verdict(gate, LABELS + noise, champion=alike).passed is passed
    sure = oc.better_than_champion("r2", confidence=0.95, margin=0.2)
    for error, passed in ((0.5, True), (1.0, False)):
        found = verdict(sure, off_by(error), champion=Champion(version=version(), predictions=off_by(0.4)))
        assert found.passed is passed


@pytest.mark.parametrize(("margin", "passed"), [(0.05, False), (0.2, True)])
def test_a_margin_without_a_confidence_is_of_the_difference_itself(margin: float, passed: bool) -> None:
    champion = Champion(version=version(), predictions=off_by(0.4))
    assert verdict(oc.better_than_champion("mae", margin=margin), off_by(0.5), champion=champion).passed is passed


def test_no_interval_no_judgement() -> None:
    champion = Champion(version=version(mae=9.0), predictions=None, why="version 3 takes x, which these rows lack")
    found = verdict(oc.better_than_champion("mae", confidence=0.9), off_by(0.5), champion=champion)
    assert (found.passed, found.judged) == (False, False)
    assert found.evidence.startswith("not judged: ")
    lenient = oc.better_than_champion("mae", confidence=0.9, needed=False)
    assert verdict(lenient, off_by(0.5), champion=champion).passed


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ([oc.at_most("mae", 1), oc.at_most("mae", 1)], "declares the gate at_most.mae, 1. twice"),
        ([oc.no_worse_on(["nowhere"], metric="mae")], "has no column 'nowhere'"),
        ([oc.no_worse_on(["entered"], metric="mae")], "too many values"),
        ([oc.no_worse_on([oc.where("shop > 3")], metric="mae")], "which is string, with what is not"),
        ([oc.fair("shop", within=0.1)], "selection_rate is not for such a model; there are: error, bias"),
        ([oc.data_checks(nulls={"size": 0.1})], "size is none of its inputs"),
    ],
)
def test_gates_that_cannot_be_asked_are_refused_when_the_model_is_declared(gates: list[Gate], message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        declare(boosted, gates=gates)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: oc.fair("shop", metric="luck", within=0.1), "no fairness metric; there are: selection_rate"),
        (lambda: oc.better_than_champion("mae", confidence=95), "not between 0 and 1"),
        (lambda: oc.better_than_champion("mae", margin=-1), "below 0"),
        (lambda: oc.no_worse_on([], metric="mae"), "no slice"),
        (lambda: oc.replays(last=0), "out of range"),
        (lambda: oc.replays(differing=2), "no share"),
        (lambda: oc.data_checks(leak=0.5), "out of range"),
        (lambda: oc.data_checks(nulls=5), "no share"),
        (lambda: oc.data_checks(label=(2, 1)), "lower bound comes first"),
        (lambda: oc.small(bytes=0), "above 0"),
        (lambda: oc.where("import os"), "no condition"),
    ],
)
def test_gates_that_make_no_sense_are_refused(make: Callable[[], Gate], message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        make()
