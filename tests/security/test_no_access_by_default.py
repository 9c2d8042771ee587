"""A project that nobody configured: closed to everybody, bound to this machine, its files for its owner's eyes."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from octavo.access import local_token
from octavo.api.app import declared_endpoints
from octavo.config import Config
from octavo.operations import Dispatcher
from octavo.processes import CONTROL, find_running
from octavo.wiring import all_operations, open_context
from tests.integration.projects import write_project

PUBLIC = {"/livez", "/readyz", "/login", "/static/console.css"}


def start(config: Config, module: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=config.root,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        umask=0o022,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def port(config: Config) -> Iterator[int]:
    """Of a control process that nobody told anything."""
    process, found = start(config, "octavo.api"), None
    deadline = time.monotonic() + 60
    while found is None and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        found = find_running(config.home, CONTROL)
    assert found is not None, process.stderr.read() if process.stderr else ""
    yield found.port
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    if process.stderr:
        process.stderr.close()


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        body = b"{}" if method != "GET" else None
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_nothing_is_open_but_what_must_be(config: Config, port: int) -> None:
    context = open_context(config)
    paths = [(one.method, one.path) for one in declared_endpoints(context, Dispatcher(all_operations(), context))]
    context.stores.metadata.close()
    assert len(paths) > 150
    for method, path in paths:
        status, headers = ask(port, method, path.replace("{", "").replace("}", ""))
        if path in PUBLIC or path.startswith(("/login", "/static")):
            continue
        came_to_the_login = status == 303 and headers["location"].startswith("/login")
        assert status == 401 or came_to_the_login, (method, path, status)
        assert "server" not in headers


def test_no_password_is_the_same_everywhere(config: Config, port: int) -> None:
    token = local_token(config.home)
    assert token is not None
    assert len(token) > 64
    assert ask(port, "POST", "/api/models.list", authorization=f"Bearer {token}")[0] == 200
    for guess in ("admin", "octavo", "", "Basic YWRtaW46YWRtaW4=", token[:-1], token.upper()):
        assert ask(port, "POST", "/api/models.list", authorization=f"Bearer {guess}")[0] == 401


@pytest.mark.parametrize(
    ("target", "host"),
    [("/api/models.list", "localhost/livez?"), ("/api/models.list;/livez", "localhost"),
     ("//api/models.list", "localhost"),
     ("/%61pi/models.list", "localhost"), ("/livez/../api/models.list", "localhost"),
     ("/api/models.list?/livez", "localhost"),
     ("http://localhost/livez/../api/models.list", "localhost"), ("/api/models.list", "a@localhost")],
)  # fmt: skip
def test_no_way_to_write_an_address_opens_it(port: int, target: str, host: str) -> None:
    """Over a real connection, as it is written."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.putrequest("POST", target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        assert connection.getresponse().status in (400, 401, 404, 405, 421)


def test_all_that_it_keeps_is_for_its_owner(config: Config, port: int) -> None:
    """Whatever the machine's umask says: neither other users of the machine nor its group see anything."""
    assert config.home.stat().st_mode & 0o777 == 0o700
    made = [path for path in config.home.rglob("*") if not path.is_symlink()]
    assert len(made) > 3
    assert [path for path in made if path.stat().st_mode & 0o022] == []
    files = [path for path in made if path.is_file() and path.parent == config.home]
    assert [path for path in files if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("process", ["octavo.api", "octavo.serving"])
def test_it_does_not_leave_this_machine_unless_told_what_stands_before_it(tmp_path: Path, process: str) -> None:
    elsewhere = {"OCTAVO_CONTROL_HOST": "0.0.0.0", "OCTAVO_PREDICTOR_HOST": "0.0.0.0"}
    refused = start(write_project(tmp_path), process, **elsewhere)
    _, told = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert b"proxy" in told
    assert not any("0.0.0.0" in str(path) for path in tmp_path.rglob("*"))
