"""How the processes of a project find each other, and where they may listen."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from octavo.clock import SystemClock
from octavo.config import ClockSettings, Config, ControlSettings, PredictorSettings
from octavo.errors import ConfigurationError
from octavo.processes import (
    PREDICTOR,
    SUPERVISOR_VARIABLE,
    RunningProcess,
    announce,
    find_running,
    open_clock,
    run_file,
    withdraw,
)
from octavo.servers import check_exposure, listen

_SIGNALS_IN_EACH_OTHERS_HANDLERS = """
import signal, sys
from octavo.processes import Told
told, left = Told(), [20]

def once_more(*_):
    if left[0]:
        left[0] -= 1
        signal.raise_signal(signal.SIGTERM)

with told.by_signals():
    assert not told()
    sys.setprofile(once_more)
    signal.raise_signal(signal.SIGTERM)
    sys.setprofile(None)
    assert told() and left[0] < 19
signal.raise_signal(signal.SIGTERM)
"""


def test_a_process_is_found_by_its_name_while_it_runs(tmp_path: Path) -> None:
    assert find_running(tmp_path, PREDICTOR) is None
    announce(tmp_path, PREDICTOR, host="127.0.0.1", port=8081)
    found = find_running(tmp_path, PREDICTOR)
    assert found == RunningProcess(pid=os.getpid(), host="127.0.0.1", port=8081)
    assert found.url == "http://127.0.0.1:8081"
    withdraw(tmp_path, PREDICTOR)
    assert find_running(tmp_path, PREDICTOR) is None


def test_an_announcement_that_a_dead_process_left_counts_for_nothing(tmp_path: Path) -> None:
    announce(tmp_path, PREDICTOR)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    run_file(tmp_path, PREDICTOR).write_text(f'{{"pid": {child.pid}, "host": "", "port": 0}}')
    assert find_running(tmp_path, PREDICTOR) is None


def test_a_process_takes_back_its_own_announcement_only(tmp_path: Path) -> None:
    run_file(tmp_path, PREDICTOR).parent.mkdir()
    run_file(tmp_path, PREDICTOR).write_text(f'{{"pid": {os.getppid()}, "host": "", "port": 0}}')
    withdraw(tmp_path, PREDICTOR)
    assert find_running(tmp_path, PREDICTOR) == RunningProcess(pid=os.getppid())
    run_file(tmp_path, PREDICTOR).write_text("{")
    assert find_running(tmp_path, PREDICTOR) is None


def test_signals_that_come_while_others_are_heard_keep_nobody_waiting_and_are_heard_no_longer_than_asked() -> None:
    done = subprocess.run([sys.executable, "-c", _SIGNALS_IN_EACH_OTHERS_HANDLERS], timeout=60, check=False)
    assert done.returncode == -signal.SIGTERM


def test_an_address_of_ipv6_reads_as_a_url() -> None:
    running = RunningProcess(pid=1, host="::1", port=80, grpc_port=81)
    assert (running.url, running.grpc_address) == ("http://[::1]:80", "[::1]:81")


def test_a_process_that_does_not_speak_grpc_has_no_address_for_it() -> None:
    assert RunningProcess(pid=1, host="127.0.0.1", port=80).grpc_address == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_may_be_listened_on_without_tls(host: str) -> None:
    check_exposure("predictor", PredictorSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org"])
def test_beyond_this_machine_a_proxy_must_be_stated(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[control\] host .* proxy with TLS"):
        check_exposure("control", ControlSettings(host=host))
    check_exposure("control", ControlSettings(host=host, behind_proxy=True))


def test_a_port_that_is_taken_is_named_with_the_setting_that_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127.0.0.1:{port}.*OCTAVO_CONTROL_PORT"):
            listen("control", ControlSettings(port=port))


def test_port_0_takes_a_free_one() -> None:
    with listen("predictor", PredictorSettings(port=0)) as listening:
        assert listening.getsockname()[1] > 0


def test_the_settings_choose_the_clock(tmp_path: Path) -> None:
    assert isinstance(open_clock(Config(root=tmp_path)), SystemClock)
    replay = ClockSettings(mode="replay", start="2013-07-01T02:00:00+02:00")
    assert open_clock(Config(root=tmp_path, clock=replay)).now() == datetime(2013, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (ClockSettings(mode="sundial"), "neither 'system' nor 'replay'"),
        (ClockSettings(mode="replay", start="yesterday"), "is no RFC 3339 time"),
        (ClockSettings(mode="replay", start="2013-07-01T00:00:00"), "lacks an offset"),
    ],
)
def test_a_clock_that_cannot_be_is_refused(tmp_path: Path, settings: ClockSettings, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        open_clock(Config(root=tmp_path, clock=settings))


_FOLLOWS = """
import os, signal, sys, time
from octavo import processes
processes.PATIENCE_S = 0.2
if sys.argv[1] == "is deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
processes.follow_supervisor()
print(os.getpid(), flush=True)
time.sleep(60)
"""
_SUPERVISES = """
import os, subprocess, sys
environment = {**os.environ, sys.argv[2]: str(os.getpid())}
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[3]], env=environment, stdout=1).wait()
"""


@pytest.mark.parametrize("manner", ["ends when told", "is deaf"])
def test_a_process_ends_when_its_supervisor_is_killed(manner: str) -> None:
    command = [sys.executable, "-c", _SUPERVISES, _FOLLOWS, SUPERVISOR_VARIABLE, manner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        follower = int(supervisor.stdout.readline())
        supervisor.kill()
        assert supervisor.stdout.read() == "", "it holds the pipe until it has ended"
    assert follower != supervisor.pid
