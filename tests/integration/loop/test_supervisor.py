"""`octavo up`: one command, three processes, and nothing left behind."""

import signal
import socket
from pathlib import Path

import pytest

from octavo.config import Config, ControlSettings
from octavo.errors import ConfigurationError, Conflict, Unavailable
from octavo.loop import children
from octavo.loop.definitions import ApplyProject
from octavo.loop.supervisor import run_project
from octavo.operations import SYSTEM
from octavo.processes import CONTROL, PREDICTOR, WORKER, find_running, is_alive
from octavo.stores.ownership import online_lock
from octavo.wiring import build_dispatcher, open_context
from tests.integration.projects import MODULE, patiently, until, up, write_project

ALL = (CONTROL, WORKER, PREDICTOR)


def test_a_project_comes_up_applied_and_goes_down_without_a_trace(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    with up(config) as running:
        pids = [running.process(name).pid for name in ALL]
        [deployment] = running.client.call("deployments.list")
        assert (deployment["state"]["deployment"], deployment["state"]["live"]) == ("eta", None)
        with pytest.raises(Conflict, match="up already"):
            run_project(config)
        with pytest.raises(Conflict, match="writes the online features"):
            open_context(config, writes_online=True)
        running.supervisor.send_signal(signal.SIGINT)
        assert running.supervisor.wait(timeout=60) == 0
    assert not any(is_alive(pid) for pid in pids)
    assert [find_running(config.home, name) for name in ALL] == [None] * 3
    assert not online_lock(config).is_taken()


def test_other_code_in_force_starts_control_and_worker_anew(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    with up(config) as running:
        before = {name: running.process(name) for name in ALL}
        write_project(tmp_path, module=MODULE.replace('Deployment(\n    "eta"', 'Deployment(\n    "arrival"'))
        context = open_context(config)
        build_dispatcher(context).call(ApplyProject(), SYSTEM)
        for name in (CONTROL, WORKER):
            until(
                lambda name=name: (now := find_running(config.home, name)) and now.pid != before[name].pid,
                what=f"{name} is another",
            )
        assert running.process(PREDICTOR) == before[PREDICTOR]
        assert running.process(CONTROL).port == before[CONTROL].port, "callers find it where it was"
        names = {d["state"]["deployment"] for d in patiently(lambda: running.client.call("deployments.list"))}
        assert "arrival" in names


def test_a_port_that_is_taken_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = Config(root=write_project(tmp_path).root, control=ControlSettings(port=port))
        with pytest.raises(ConfigurationError, match=rf"{port}.*OCTAVO_CONTROL_PORT"):
            run_project(config)


def test_a_project_that_cannot_be_loaded_is_told_before_anything_is_started(tmp_path: Path) -> None:
    config = write_project(tmp_path, module="import nothing_of_that_name")
    with pytest.raises(ConfigurationError, match="nothing_of_that_name"):
        run_project(config)


def test_a_process_that_never_comes_up_ends_it_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_project(tmp_path)
    (tmp_path / "broken.py").write_text("raise SystemExit('the worker has no hands')", encoding="utf-8")
    monkeypatch.setitem(children.MODULES, WORKER, "broken")
    with pytest.raises(Unavailable, match=r"worker cannot be started.*the worker has no hands"):
        run_project(config)
    assert find_running(config.home, CONTROL) is None
