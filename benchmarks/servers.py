"""Servers on one core: the predictor, peers, and the predictor's HTTP server with nothing behind it.

Run as a program it is the last one: it answers every request with what came by the standard input.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from load import Server

from octavo.processes import PREDICTOR, find_running

PATIENCE_S = 120


def divide_cores() -> int:
    """Keep this process, and with it the load, on the last core; returns the first one, which is the servers'."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("there is a single core: the load takes from the servers what it needs", file=sys.stderr)
    os.sched_setaffinity(0, cores[-1:])
    return cores[0]


@contextmanager
def predictor(root: Path, *, core: int, program: Sequence[str] = ("-m", "octavo.serving")) -> Iterator[Server]:
    """A predictor of the project in a folder; what it says stands in ``predictor.log`` there."""
    command, said = ["taskset", "-c", str(core), sys.executable, *program], root / "predictor.log"
    with said.open("wb") as log, subprocess.Popen(command, cwd=root, stderr=log) as process:
        try:
            while (found := find_running(root / ".octavo", PREDICTOR)) is None or found.pid != process.pid:
                assert process.poll() is None, said.read_text(encoding="utf-8")[-5_000:]
                time.sleep(0.05)
            yield Server(name="predictor", port=found.port, pid=process.pid)
        finally:
            process.terminate()


@contextmanager
def constant(body: bytes, *, core: int) -> Iterator[Server]:
    """The predictor's HTTP server, answering always the same."""
    listening = socket.create_server(("127.0.0.1", 0))
    command = ["taskset", "-c", str(core), sys.executable, __file__, str(listening.fileno())]
    with listening, subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listening.fileno()]) as process:
        assert process.stdin is not None
        process.stdin.write(body)
        process.stdin.close()
        try:
            yield Server(name="constant answer", port=listening.getsockname()[1], pid=process.pid)
        finally:
            process.terminate()


@contextmanager
def started(
    name: str,
    command: Sequence[str | Path],
    *,
    port: int,
    core: int,
    folder: Path,
    answers: Callable[[Server], object],
    **environment: str,
) -> Iterator[Server]:
    """Any other server, once it answers; what it says goes to a file, which is shown if it does not come up.

    Parameters
    ----------
    answers : callable
        Asks it something; raises `OSError` or `AssertionError` while it is not ready.
    """
    with tempfile.TemporaryFile(dir=folder) as said:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **environment},
            start_new_session=True,
        )
        server = Server(name=name, port=port, pid=process.pid)
        try:
            _wait(server, process, answers)
            yield server
        except BaseException:
            said.seek(0)
            sys.stderr.write(said.read()[-5_000:].decode(errors="replace"))
            raise
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=20)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _wait(server: Server, process: "subprocess.Popen[bytes]", answers: Callable[[Server], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            answers(server)
        except (OSError, AssertionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _serve_constant(descriptor: int) -> None:
    body = sys.stdin.buffer.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    _serve_constant(int(sys.argv[1]))
