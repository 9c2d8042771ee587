"""The guard on outcomes may be looked at after every single outcome: false alarms stay as rare as declared."""

from math import log

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from octavo.release.sequential import divided, log_evidence, paired

Floats = npt.NDArray[np.float64]
ALPHA, WORSE, MOST = 0.05, 0.05, 10.0
HISTORIES, LENGTH = 600, 2_000
LIMIT = ALPHA + 3 * (ALPHA * (1 - ALPHA) / HISTORIES) ** 0.5
"""Above this a rate of alarms in so many histories is no chance any more."""


def errors(rng: np.random.Generator, *, scale: float | Floats = 1.0) -> Floats:
    """Absolute errors, some of them monstrous, with a mean of about `scale`."""
    found: Floats = np.minimum(scale * np.abs(rng.standard_t(3, LENGTH)) / 1.1, MOST)
    return found


def alarms(evidence: Floats) -> bool:
    """Whether anybody who looks after each outcome would ever have seen enough."""
    return bool((evidence >= log(1 / ALPHA)).any())


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_canary_that_is_as_bad_as_allowed_is_seldom_taken_back_however_often_one_looks(share: float) -> None:
    rng, found = np.random.default_rng(1), 0
    for _ in range(HISTORIES):
        answered = rng.random(LENGTH) < share
        losses = errors(rng) * np.where(answered, 1 + WORSE, 1.0) / (1 + WORSE)
        found += alarms(divided(losses, answered, share=share, worse=WORSE, most=MOST))
    assert found / HISTORIES <= LIMIT


def test_so_it_is_while_what_is_asked_changes_during_the_stage() -> None:
    rng, found = np.random.default_rng(2), 0
    scale = 0.2 + 2.0 * (np.arange(LENGTH) > LENGTH / 3) + np.sin(np.arange(LENGTH) / 50) ** 2
    for _ in range(HISTORIES):
        answered = rng.random(LENGTH) < 0.1
        losses = errors(rng, scale=scale)
        found += alarms(divided(losses, answered, share=0.1, worse=0.0, most=MOST))
    assert found / HISTORIES <= LIMIT


def test_a_shadow_that_is_as_bad_as_allowed_is_seldom_taken_back() -> None:
    rng, found = np.random.default_rng(3), 0
    for _ in range(HISTORIES):
        live, other = errors(rng) / (1 + WORSE), errors(rng)
        same = rng.random(LENGTH) < 0.8
        candidate = np.where(same, live * (1 + WORSE), other)
        found += alarms(paired(candidate, live, worse=WORSE, most=MOST))
    assert found / HISTORIES <= LIMIT


def test_looking_again_and_again_at_a_test_of_a_fixed_horizon_would_not_do() -> None:
    """What this is for: the usual test, looked at after each hundred outcomes, alarms several times as often."""
    rng, found = np.random.default_rng(4), 0
    for _ in range(HISTORIES):
        difference = errors(rng) - errors(rng)
        counts = np.arange(100, LENGTH + 1, 100)
        means = np.cumsum(difference)[counts - 1] / counts
        found += bool((means / (difference.std() / np.sqrt(counts)) > 1.645).any())
    assert found / HISTORIES > 2 * LIMIT


@pytest.mark.parametrize(("times", "within"), [(1.5, 1_500), (2.5, 300)])
def test_a_canary_that_is_worse_is_found(times: float, within: int) -> None:
    rng, when = np.random.default_rng(5), []
    for _ in range(100):
        answered = rng.random(LENGTH) < 0.1
        losses = np.minimum(errors(rng) * np.where(answered, times, 1.0), MOST)
        reached = np.flatnonzero(divided(losses, answered, share=0.1, worse=WORSE, most=MOST) >= log(1 / ALPHA))
        when.append(reached[0] if len(reached) else LENGTH)
    assert np.median(when) < within


@given(
    arrays(np.float64, st.integers(0, 60), elements=st.floats(0, MOST)),
    st.floats(0.01, 0.99),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_evidence_is_a_number_whatever_comes_and_its_past_does_not_change(
    losses: Floats, share: float, chance: object
) -> None:
    answered = np.array([chance.random() < share for _ in losses], np.bool_)  # type: ignore[attr-defined]  # random.Random of hypothesis
    evidence = divided(losses, answered, share=share, worse=WORSE, most=MOST)
    assert np.isfinite(evidence).all()
    seen = len(losses) // 2
    before = divided(losses[:seen], answered[:seen], share=share, worse=WORSE, most=MOST)
    assert np.allclose(before, evidence[:seen])


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1, 0)))
def test_nothing_that_is_never_positive_is_evidence(observations: Floats) -> None:
    assert (log_evidence(observations, 1.0) <= 0).all()
