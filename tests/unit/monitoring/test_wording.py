"""Movements of inputs in words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from octavo.definitions.deployments import Monitor
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.staleness import judge_staleness
from octavo.monitoring.wording import movement, movements, number, span

TEMP = InputLook(
    name="temp", importance=0.1, drift=1.0, absent=0.0, missing=0.0, stale=0.0, default=0.0, outside=0.0, mean=41.2,
    trained_mean=52.3, trained_std=10.0, trained_absent=0.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "temp 21 % lower (41.2 on average, in training 52.3)"),
        ({"mean": 60.145}, "temp 15 % higher (60.1 on average, in training 52.3)"),
        ({"mean": 180.0}, "temp 3.4 times as high (180 on average, in training 52.3)"),
        ({"mean": 52.5}, "temp distributed otherwise (52.5 on average, in training 52.3)"),
        ({"mean": 17.0, "trained_mean": 2.0}, "temp 1.5 standard deviations higher (17 on average, in training 2)"),
        ({"mean": -60.0, "trained_mean": -52.3}, "temp 15 % lower (-60 on average, in training -52.3)"),
        ({"mean": 4.0, "trained_mean": 3.0, "trained_std": 0.0}, "temp 33 % higher (4 on average, in training 3)"),
        ({"absent": 0.4, "trained_absent": 0.12}, "temp absent in 40 % (in training 12 %)"),
        ({"mean": None}, "temp distributed otherwise"),
        ({"mean": 1.0, "trained_mean": 0.0, "trained_std": 0.0}, "temp higher (1 on average, in training 0)"),
    ],
)
def test_an_input_is_told_with_its_direction(changes: dict[str, float], words: str) -> None:
    assert movement(replace(TEMP, **changes)) == words  # type: ignore[arg-type]  # of this test


def test_only_the_first_few_are_told() -> None:
    assert movements((TEMP,) * 5).count("temp") == 3
    assert movements(()) == ""


def test_numbers_have_three_figures() -> None:
    assert [number(v) for v in (0.12345, 18.44, 12_345.6, -1_234.5, 0.0)] == ["0.123", "18.4", "12,346", "-1,234", "0"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 min"),
        (3_569, "59 min"),
        (3_599, "1 h"),
        (111_600, "31 h"),
    ],
)
def test_spans_of_time_have_a_unit_in_which_they_are_something(seconds: int, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_an_outcome_of_a_minute_ago_is_not_of_no_hours_ago() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    monitor = Monitor(every="1h", window="1d")
    finding = judge_staleness(at=at, predictions=9, newest_outcome_at=at - timedelta(seconds=80), monitor=monitor)
    assert finding.summary == "the newest outcome became known 1 min ago"
