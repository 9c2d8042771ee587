"""A store that fails is left alone for a while, and found again by a single probe."""

import pytest

from octavo.serving.breaker import Breaker, BreakerState


def opened() -> Breaker:
    """A breaker that opened at second 0."""
    breaker = Breaker()
    for number in range(5):
        assert breaker.lets_through(0.0)
        breaker.failed(number - 4)
    return breaker


def test_it_opens_after_five_failures_in_a_row() -> None:
    breaker = Breaker()
    for second, outcome in enumerate("ffffsffff"):
        breaker.failed(second) if outcome == "f" else breaker.succeeded()
    assert breaker.lets_through(9.0)
    breaker.failed(9.0)
    assert (breaker.state, breaker.lets_through(9.0), breaker.opened) == (BreakerState.OPEN, False, 1)


def test_lookups_that_fail_together_do_not_open_it() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.failed(1.0)
    assert breaker.state is BreakerState.CLOSED
    breaker.failed(1.05)
    assert breaker.state is BreakerState.OPEN


def test_failures_of_what_was_under_way_when_it_opened_do_not_count() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.failed(0.0)
    assert (breaker.opened, breaker.lets_through(0.1)) == (1, True)


def test_after_the_pause_one_probe_is_let_through() -> None:
    breaker = opened()
    assert [breaker.lets_through(at_s) for at_s in (0.09, 0.11, 0.12, 99.0)] == [False, True, False, False]


def test_a_probe_that_is_answered_closes_it() -> None:
    breaker = opened()
    assert breaker.lets_through(0.2)
    breaker.succeeded()
    assert (breaker.state, breaker.lets_through(0.2), breaker.has_failed) == (BreakerState.CLOSED, True, False)


def test_pauses_double_with_each_probe_that_fails_up_to_two_seconds() -> None:
    breaker, now_s, pauses = opened(), 0.0, []
    for _ in range(7):
        paused_s = next(tenth / 10 for tenth in range(100) if breaker.lets_through(now_s + tenth / 10 + 1e-9))
        now_s += paused_s
        pauses.append(paused_s)
        breaker.failed(now_s)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert breaker.opened == 1


def test_after_it_has_closed_pauses_begin_anew() -> None:
    breaker = opened()
    assert breaker.lets_through(1.0)
    breaker.failed(1.0)
    assert breaker.lets_through(2.0)
    breaker.succeeded()
    for second in range(3, 8):
        breaker.failed(second)
    assert breaker.lets_through(7.11)


def test_a_probe_whose_outcome_nobody_saw_is_followed_by_another() -> None:
    breaker = opened()
    assert breaker.lets_through(1.0)
    breaker.abandoned()
    assert breaker.lets_through(1.0)
