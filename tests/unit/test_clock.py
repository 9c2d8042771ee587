from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Thread

import pytest

from octavo.clock import ManualClock, ReplayClock, SystemClock, from_micros, to_micros

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def test_micros_are_exact_in_both_directions() -> None:
    moment = datetime(2013, 6, 1, 12, 30, 15, 123_457, tzinfo=timezone(timedelta(hours=-4)))
    assert from_micros(to_micros(moment)) == moment


def test_a_naive_datetime_has_no_place_on_the_time_line() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_micros(datetime(2013, 6, 1))


def test_the_system_clock_moves_with_the_machine() -> None:
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= datetime.now(UTC)


def test_a_manual_clock_never_goes_back() -> None:
    clock = ManualClock(NOON)
    clock.advance(NOON - timedelta(hours=1))
    assert clock.now() == NOON


def test_a_replay_clock_is_shared_through_its_file_and_keeps_its_time(tmp_path: Path) -> None:
    ReplayClock(tmp_path / "clock", start=NOON)
    driver, reader = (ReplayClock(tmp_path / "clock", start=NOON + timedelta(days=9)) for _ in range(2))
    driver.set_horizon_us(to_micros(NOON + timedelta(days=1)))
    assert driver.advance(NOON + timedelta(hours=3), timeout_s=1)
    assert reader.now() == NOON + timedelta(hours=3)


def test_a_replay_clock_stops_at_the_horizon(tmp_path: Path) -> None:
    clock = ReplayClock(tmp_path / "clock", start=NOON)
    clock.set_horizon_us(to_micros(NOON + timedelta(hours=1)))
    assert not clock.advance(NOON + timedelta(hours=2), timeout_s=0.05)
    assert clock.now() == NOON + timedelta(hours=1)


def test_a_replay_clock_goes_on_when_the_horizon_moves(tmp_path: Path) -> None:
    clock = ReplayClock(tmp_path / "clock", start=NOON)
    answers: list[bool] = []
    driver = Thread(target=lambda: answers.append(clock.advance(NOON + timedelta(hours=2), timeout_s=10)))
    driver.start()
    clock.set_horizon_us(to_micros(NOON + timedelta(hours=5)))
    driver.join()
    assert answers == [True]
    assert clock.now() == NOON + timedelta(hours=2)


def test_processes_that_make_a_replay_clock_at_once_share_one(tmp_path: Path) -> None:
    path, barrier = tmp_path / "clock", Barrier(8)
    made: list[ReplayClock] = []

    def make() -> None:
        barrier.wait()
        made.append(ReplayClock(path, start=NOON))

    threads = [Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made[0].set_horizon_us(to_micros(NOON) + 1)
    assert {clock.horizon_us() for clock in made} == {to_micros(NOON) + 1}
    assert [file.name for file in tmp_path.iterdir()] == ["clock"]
