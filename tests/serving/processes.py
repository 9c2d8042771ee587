"""A predictor in a process of its own, and callers over real sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.serving.projects import ServingProject

from octavo.processes import find_running

PATH = "/predict/eta"
_PATIENCE_S = 30


@dataclass(kw_only=True)
class Running:
    """A predictor that listens."""

    process: subprocess.Popen[bytes]
    project: ServingProject
    port: int

    @property
    def grpc_port(self) -> int:
        """Where it speaks gRPC; 0 if it does not."""
        found = find_running(self.project.config.home, "predictor")
        return 0 if found is None else found.grpc_port

    def call(self, rows: list[dict[str, Any]]) -> tuple[int, Any]:
        """Ask for predictions on a connection of its own."""
        with closing(Connection(self)) as connection:
            return connection.call(rows)

    def get(self, path: str) -> tuple[int, bytes]:
        """The status and body of what stands at a path."""
        with closing(Connection(self)) as connection:
            return connection.get(path)

    def kill(self) -> None:
        """End it at once by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it by SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=_PATIENCE_S)

    def socket(self) -> socket.socket:
        """A bare connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_S)


class Connection:
    """A connection that is kept."""

    def __init__(self, running: Running) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", running.port, timeout=_PATIENCE_S)
        self._headers = {"authorization": f"Bearer {running.project.token}", "content-type": "application/json"}

    def call(self, rows: list[dict[str, Any]], *, path: str = PATH) -> tuple[int, Any]:
        """Ask for predictions: the status and the document that was answered."""
        return self.send(json.dumps({"rows": rows}).encode(), path=path)

    def send(self, body: Any, *, path: str = PATH, **headers: str) -> tuple[int, Any]:
        """Send a body, or the parts of one, as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._http.request("POST", path, body, {**self._headers, **named})
        reply = self._http.getresponse()
        return reply.status, json.loads(reply.read())

    def get(self, path: str) -> tuple[int, bytes]:
        self._http.request("GET", path, headers=self._headers)
        reply = self._http.getresponse()
        return reply.status, reply.read()

    def close(self) -> None:
        self._http.close()


@contextmanager
def predictor(project: ServingProject) -> Iterator[Running]:
    """A predictor of a project, which is killed at the end unless it has ended by itself."""
    root = project.config.root
    with (root / "predictor.stderr").open("ab") as errors:
        process = subprocess.Popen([sys.executable, "-m", "octavo.serving"], cwd=root, stderr=errors)
    try:
        yield Running(process=process, project=project, port=_port(process, project))
    finally:
        process.kill()
        process.wait()


def outcome(root: Path, **environment: str) -> tuple[int, str]:
    """The exit code and the complaints of a predictor that does not get to listen."""
    done = subprocess.run(
        [sys.executable, "-m", "octavo.serving"],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stderr


@dataclass
class Load:
    """Callers who ask again and again, each on its own connection, until they are stopped or their predictor dies.

    Attributes
    ----------
    answers : list of (status, document)
    broken : list of Exception
        What ended callers before they were told to stop.
    """

    running: Running
    rows: list[dict[str, Any]]
    callers: int = 3
    path: str = PATH
    answers: list[tuple[int, Any]] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        """Until so many more answers have come."""
        wanted, deadline = len(self.answers) + answers, time.monotonic() + _PATIENCE_S
        while len(self.answers) < wanted and not self.broken:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def _ask(self) -> None:
        connection = Connection(self.running)
        try:
            while not self._stop.is_set():
                self.answers.append(connection.call(self.rows, path=self.path))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.broken.append(error)
        finally:
            connection.close()


def until(condition: Any, *, what: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def _port(process: subprocess.Popen[bytes], project: ServingProject) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = find_running(project.config.home, "predictor")
        if found is not None and found.pid == process.pid and found.port:
            return found.port
        assert process.poll() is None, (project.config.root / "predictor.stderr").read_text()
        time.sleep(0.01)
    raise AssertionError("the predictor does not listen")
