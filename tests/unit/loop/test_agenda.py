"""Who waits for a moment is woken at that moment; under a replay the clock waits in turn."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.clock import FAR_FUTURE_US, ManualClock, ReplayClock, SystemClock, to_micros
from octavo.loop.agenda import Agenda, Appointment, Stopping

START = datetime(2013, 7, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE_S = 10.0


@pytest.fixture
def clock(tmp_path: Path) -> ReplayClock:
    return ReplayClock(tmp_path / "clock", start=START)


@pytest.fixture
def agenda(clock: ReplayClock) -> Iterator[Agenda]:
    made = Agenda(clock)
    yield made
    made.stop()


def waiting(appointment: Appointment, moment: datetime) -> threading.Thread:
    """A thread that waits for a moment."""
    thread = threading.Thread(target=appointment.wait_until, args=(moment,), daemon=True)
    thread.start()
    return thread


def test_a_moment_that_has_passed_is_not_waited_for(agenda: Agenda) -> None:
    with agenda.appointment("look") as appointment:
        appointment.wait_until(START - MINUTE)
        appointment.wait_until(START)


def test_the_clock_stops_at_the_earliest_appointment_until_it_is_moved_on(agenda: Agenda, clock: ReplayClock) -> None:
    near, far = agenda.appointment("near"), agenda.appointment("far")
    near.move_to(START + MINUTE)
    far.move_to(START + 2 * MINUTE)
    assert not clock.advance(START + 9 * MINUTE, timeout_s=0.05)
    assert clock.now() == START + MINUTE
    near.close()
    assert not clock.advance(START + 9 * MINUTE, timeout_s=0.05)
    assert clock.now() == START + 2 * MINUTE
    far.let_go()
    assert clock.advance(START + 9 * MINUTE)


def test_without_appointments_the_clock_is_free(agenda: Agenda, clock: ReplayClock) -> None:
    assert not clock.advance(START + MINUTE, timeout_s=0.05), "nobody has said yet what is due"
    with agenda.appointment("beginning"):
        assert clock.horizon_us() == to_micros(START)
    assert clock.horizon_us() == FAR_FUTURE_US
    assert clock.advance(START + 9 * MINUTE)


def test_an_appointment_whose_moment_has_come_holds_the_clock_while_its_owner_works(
    agenda: Agenda, clock: ReplayClock
) -> None:
    with agenda.appointment("look") as appointment:
        thread = waiting(appointment, START + MINUTE)
        assert not clock.advance(START + 2 * MINUTE, timeout_s=0.1)
        thread.join(PATIENCE_S)
        assert (thread.is_alive(), clock.now()) == (False, START + MINUTE)
    assert clock.advance(START + 2 * MINUTE)


def test_waking_takes_about_a_millisecond(agenda: Agenda, clock: ReplayClock) -> None:
    late: list[float] = []
    with agenda.appointment("look") as appointment:
        for minute in range(1, 40):
            thread = waiting(appointment, START + minute * MINUTE)
            time.sleep(0.002)
            started = time.perf_counter()
            clock.advance(START + minute * MINUTE)
            thread.join(PATIENCE_S)
            late.append(time.perf_counter() - started)
    assert sorted(late)[len(late) // 2] < 0.02, "twenty times what it takes on an idle machine"


def test_a_clock_in_memory_wakes_who_waits() -> None:
    clock = ManualClock(START)
    agenda = Agenda(clock)
    thread = waiting(agenda.appointment("look"), START + MINUTE)
    clock.advance(START + MINUTE)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    agenda.stop()


def test_under_the_systems_clock_time_passes_by_itself() -> None:
    clock = SystemClock()
    agenda = Agenda(clock)
    moment = clock.now() + timedelta(seconds=0.05)
    with agenda.appointment("look") as appointment:
        appointment.wait_until(moment)
    assert moment <= clock.now() < moment + timedelta(seconds=PATIENCE_S)
    agenda.stop()


def test_who_waits_is_woken_when_the_agenda_stops(clock: ReplayClock) -> None:
    agenda, ended = Agenda(clock), []

    def wait() -> None:
        with agenda.appointment("look") as appointment:
            try:
                appointment.wait_until(START + MINUTE)
            except Stopping:
                ended.append(agenda.is_stopping)

    thread = threading.Thread(target=wait)
    thread.start()
    while clock.horizon_us() != to_micros(START + MINUTE):
        time.sleep(0.001)
    agenda.stop()
    thread.join(PATIENCE_S)
    assert ended == [True]
    assert clock.horizon_us() == to_micros(START + MINUTE), "what is due then is not done: the clock must not pass it"
    with pytest.raises(Stopping):
        agenda.pause(0.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=8), min_size=1, max_size=5),
    st.lists(st.integers(1, 400), min_size=1, max_size=12),
)
def test_nothing_that_is_due_is_ever_passed_over(
    tmp_path_factory: pytest.TempPathFactory, plans: list[list[int]], steps: list[int]
) -> None:
    """Each of some workers keeps its appointments one after another; the driver moves the clock as it likes."""
    clock = ReplayClock(tmp_path_factory.mktemp("replay") / "clock", start=START)
    agenda, seen = Agenda(clock), []

    def work(appointment: Appointment, spans: list[int]) -> None:
        with appointment:
            moment = START
            for span in spans:
                moment += span * timedelta(seconds=1)
                appointment.wait_until(moment)
                seen.append((moment, clock.now()))

    threads = [
        threading.Thread(target=work, args=(agenda.appointment(str(number)), spans), daemon=True)
        for number, spans in enumerate(plans)
    ]
    for thread in threads:
        thread.start()
    reached = START
    for step in (*steps, 10_000):
        reached += step * timedelta(seconds=1)
        assert clock.advance(reached, timeout_s=PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)
    agenda.stop()
    assert len(seen) == sum(map(len, plans))
    assert all(now == moment for moment, now in seen)
