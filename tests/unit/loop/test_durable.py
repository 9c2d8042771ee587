"""Workflows outlive their process: here an agenda and its workflows end and are made again over the same database."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.clock import FAR_FUTURE_US, ManualClock, ReplayClock, to_micros
from octavo.loop import durable
from octavo.loop.agenda import Agenda
from octavo.loop.durable import DurableWorkflows, Execution, Workflow

START = datetime(2013, 7, 1, tzinfo=UTC)
PATIENCE_S = 60.0


@contextmanager
def process(
    folder: Path, workflow: Workflow, *, clock: ManualClock | ReplayClock | None = None
) -> Iterator[DurableWorkflows]:
    """What a worker's process is to its workflows."""
    agenda = Agenda(clock or ManualClock(START))
    workflows = DurableWorkflows(folder / "workflows.db", {"release": workflow}, agenda=agenda)
    workflows.start()
    try:
        yield workflows
    finally:
        agenda.stop()
        workflows.stop()


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.005)


def test_a_workflow_takes_its_steps_in_a_thread_of_its_own(tmp_path: Path) -> None:
    done: list[str] = []

    def workflow(execution: Execution) -> None:
        done.append(execution.step("first", lambda: f"{execution.id} first"))
        done.append(execution.step("second", lambda: f"{execution.id} second"))

    with process(tmp_path, workflow) as workflows:
        workflows.begin("release", "r1")
        assert workflows.wait_until_begun(["r1"], timeout_s=PATIENCE_S)
        until(lambda: not workflows.is_live("r1"))
        assert done == ["r1 first", "r1 second"]
        assert workflows.knows("r1")
        assert not workflows.knows("r2")


def test_what_waits_goes_on_in_the_next_process_after_the_last_step_that_was_done(tmp_path: Path) -> None:
    done: list[str] = []

    def workflow(execution: Execution) -> None:
        done.append(execution.step("before", lambda: note("before")))
        execution.step("wait", lambda: execution.appointment.wait_until(START + timedelta(hours=1)) or "")
        done.append(execution.step("after", lambda: note("after")))

    taken: list[str] = []

    def note(name: str) -> str:
        taken.append(name)
        return name

    with process(tmp_path, workflow) as workflows:
        workflows.begin("release", "r1")
        until(lambda: done == ["before"])
    clock = ManualClock(START)
    with process(tmp_path, workflow, clock=clock) as workflows:
        assert workflows.wait_until_begun(["r1"], timeout_s=PATIENCE_S), "nobody had to ask for it"
        workflows.begin("release", "r1")
        clock.advance(START + timedelta(hours=1))
        until(lambda: done == ["before", "before", "after"])
    assert taken == ["before", "after"]


def test_a_workflow_that_has_begun_is_not_begun_again(tmp_path: Path) -> None:
    go_on, begun = threading.Event(), []

    def workflow(execution: Execution) -> None:
        begun.append(execution.id)
        go_on.wait(PATIENCE_S)

    with process(tmp_path, workflow) as workflows:
        for _ in range(3):
            workflows.begin("release", "r1")
        until(lambda: workflows.is_live("r1"))
        workflows.begin("release", "r1")
        go_on.set()
        until(lambda: not workflows.is_live("r1"))
    assert begun == ["r1"]


def test_a_workflow_that_has_ended_may_begin_anew(tmp_path: Path) -> None:
    begun: list[str] = []

    with process(tmp_path, lambda execution: begun.append(execution.id)) as workflows:
        while len(begun) < 2:
            workflows.begin("release", "r1")
            time.sleep(0.02)


def test_a_workflow_that_fails_begins_anew_after_a_pause_while_the_clock_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(durable, "_FIRST_PAUSE_S", 0.2)
    clock, attempts = ReplayClock(tmp_path / "clock", start=START), []

    def workflow(execution: Execution) -> None:
        execution.appointment.move_to(START + timedelta(hours=1))
        attempts.append(execution.id)
        if len(attempts) < 3:
            raise OSError("the disk is away")

    with process(tmp_path, workflow, clock=clock) as workflows:
        workflows.begin("release", "r1")
        until(lambda: len(attempts) == 1 and not workflows.is_live("r1"))
        assert clock.horizon_us() == to_micros(START)
        workflows.begin("release", "r1")
        assert not workflows.is_live("r1"), "its pause is not over"
        while len(attempts) < 3:
            workflows.begin("release", "r1")
            time.sleep(0.02)
        until(lambda: clock.horizon_us() == FAR_FUTURE_US)
    assert "release r1 failed for the 2. time" in caplog.text


def test_a_replays_clock_stands_while_a_workflow_has_not_moved_its_appointment_on(tmp_path: Path) -> None:
    clock = ReplayClock(tmp_path / "clock", start=START)

    def workflow(execution: Execution) -> None:
        execution.step("wait", lambda: execution.appointment.wait_until(START + timedelta(hours=1)) or "")

    with process(tmp_path, workflow, clock=clock) as workflows:
        workflows.begin("release", "r1")
        until(lambda: clock.horizon_us() == to_micros(START + timedelta(hours=1)))
        assert clock.advance(START + timedelta(hours=2), timeout_s=PATIENCE_S)
        until(lambda: not workflows.is_live("r1"))


def test_waiting_for_what_nobody_begins_is_in_vain(tmp_path: Path) -> None:
    with process(tmp_path, lambda execution: None) as workflows:
        assert not workflows.wait_until_begun(["r1"], timeout_s=0.05)


def test_nothing_is_printed_and_nobody_is_sent_to_a_hosted_console(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with process(tmp_path, lambda execution: None) as workflows:
        workflows.begin("release", "r1")
        assert workflows.wait_until_begun(["r1"], timeout_s=PATIENCE_S)
    assert capfd.readouterr() == ("", "")
