"""A child process is kept running, and stopped with the others."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from octavo.config import ClockSettings, Config, ControlSettings, load_config
from octavo.loop import children
from octavo.loop.children import Child, settings_as_variables, stop_all
from octavo.processes import CONTROL

PATIENCE_S = 30.0
_SERVES = """
import os, signal, time
from pathlib import Path
from octavo.processes import announce, CONTROL
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
announce(Path(".octavo"), CONTROL, host="127.0.0.1", port=int(os.environ["OCTAVO_CONTROL_PORT"]) or 4711)
print("listening", flush=True)
time.sleep(60)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """A child that runs the module ``played`` of its folder."""
    monkeypatch.setitem(children.MODULES, CONTROL, "played")
    (tmp_path / ".octavo").mkdir()
    made = Child(CONTROL, Config(root=tmp_path, control=ControlSettings(port=0)))
    yield made
    stop_all([made])


def play(folder: Path, code: str) -> None:
    (folder / "played.py").write_text(code, encoding="utf-8")


def kept(child: Child, holds: Callable[[], object]) -> None:
    """Keep the child running until something holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        child.keep_running()
        time.sleep(0.01)


def test_a_child_is_ready_when_it_has_announced_itself_and_is_stopped_by_a_word(tmp_path: Path, child: Child) -> None:
    play(tmp_path, _SERVES)
    kept(child, child.announced)
    found = child.announced()
    assert found is not None
    assert (found.host, found.port) == ("127.0.0.1", 4711)
    assert "listening" in child.log_file.read_text()
    stop_all([child])
    assert child.announced() is None
    assert not (tmp_path / ".octavo" / "run" / "control.json").exists()


def test_a_child_that_was_killed_is_started_again_on_the_port_that_it_had(tmp_path: Path, child: Child) -> None:
    play(tmp_path, _SERVES)
    kept(child, child.announced)
    first = child.announced()
    assert first is not None
    play(tmp_path, _SERVES.replace("4711", "4712"))
    os.kill(first.pid, signal.SIGKILL)
    kept(child, lambda: (now := child.announced()) and now.pid != first.pid)
    assert child.deaths == 1
    again = child.announced()
    assert again is not None
    assert again.port == 4711


def test_a_child_that_dies_at_once_is_started_again_after_ever_longer_pauses(
    tmp_path: Path, child: Child, caplog: pytest.LogCaptureFixture
) -> None:
    play(tmp_path, "raise SystemExit(3)")
    with caplog.at_level(logging.ERROR):
        kept(child, lambda: child.deaths == 3)
    pauses = [record.getMessage().rpartition(" in ")[2] for record in caplog.records]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s"]


def test_a_child_that_does_not_end_is_killed(tmp_path: Path, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "PATIENCE_S", 0.2)
    play(tmp_path, _SERVES.replace("lambda *_: os._exit(0)", "signal.SIG_IGN"))
    kept(child, child.announced)
    stop_all([child])
    assert child.announced() is None


def test_a_childs_settings_are_those_of_the_supervisor(tmp_path: Path) -> None:
    config = Config(
        root=tmp_path,
        control=ControlSettings(port=0, behind_proxy=True),
        clock=ClockSettings(mode="replay", start="2013-07-01T00:00:00Z"),
    )
    assert load_config(tmp_path, settings_as_variables(config)) == config
