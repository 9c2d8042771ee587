import io
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from octavo.cli.demo.display import Display, Traffic

AT = datetime(2030, 7, 11, 6, tzinfo=UTC)


def show(*, terminal: bool) -> str:
    """What a demo that has come as far as its replay shows."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    display = Display(console)
    with display.running():
        with display.step("Write the project") as step:
            step.note = "in [demo]/trips"
        display.traffic = Traffic(now=AT, predictions=1_234, outcomes=56, p50_ms=1.25, p99_ms=3.5)
        display.happened(AT, "! performance incident of eta: mae [38.2]")
        display.passed(date(2030, 7, 11))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_each_thing_is_a_line_of_its_own() -> None:
    step, incident, day = show(terminal=False).splitlines()
    assert step.endswith(" s  Write the project: in [demo]/trips")
    assert incident.strip() == "Thu 11 Jul 06:00  ! performance incident of eta: mae [38.2]"
    assert day.strip() == ("Thu 11 Jul: 1,234 predictions, 0 failed requests, 56 outcomes, p50 1.2 ms, p99 3.5 ms")


@pytest.mark.parametrize("text", ["✓  Write the project", "[demo]/trips", "1,234 predictions", "mae [38.2]"])
def test_a_terminal_shows_steps_traffic_and_news(text: str) -> None:
    assert text in show(terminal=True)


def test_a_step_that_fails_is_not_done() -> None:
    display = Display(Console(file=io.StringIO(), force_terminal=False))
    with pytest.raises(ZeroDivisionError), display.step("Divide") as step:
        step.note = str(1 / 0)
    assert step.seconds is None
