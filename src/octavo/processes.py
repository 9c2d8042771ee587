"""What the processes of a project have in common: where they listen, how others find them, by which clock they go.

A process that can be reached says so in ``.octavo/run/<name>.json``: its pid, host and port. The file goes with the
process; one that was left behind by a sudden death names a pid that no longer runs.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType

import msgspec

from octavo.access import write_private
from octavo.clock import Clock, ReplayClock, SystemClock
from octavo.config import Config
from octavo.errors import ConfigurationError

CONTROL, WORKER, PREDICTOR = "control", "worker", "predictor"
SUPERVISOR_VARIABLE = "OCTAVO_SUPERVISOR_PID"
PATIENCE_S = 15.0
"""How long a process that was told to stop may take to finish what is under way; then it is killed."""

_ORPHAN_CHECK_S = 0.25


class RunningProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process of this project that runs now.

    Attributes
    ----------
    host, port : str, int
        Where it listens; empty and 0 for one that does not.
    grpc_port : int
        Where it speaks gRPC, on the same host; 0 for one that does not.
    """

    pid: int
    host: str = ""
    port: int = 0
    grpc_port: int = 0

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:8080``."""
        return f"http://{self._host}:{self.port}"

    @property
    def grpc_address(self) -> str:
        """Such as ``127.0.0.1:8082``, as clients of gRPC take it; empty if it does not speak gRPC."""
        return f"{self._host}:{self.grpc_port}" if self.grpc_port else ""

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


class Told:
    """Whether this process was told to stop, by SIGINT or SIGTERM.

    It is one assignment, because a signal may come while the last one's handler still runs (`timeout` sends SIGTERM
    twice): a `threading.Event` would wait there for a lock that it holds itself.
    """

    def __init__(self) -> None:
        self._is_told = False

    def __call__(self) -> bool:
        return self._is_told

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Listen to signals meanwhile; only the main thread can, in another nothing is heard."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._is_told = True


def worker_names(config: Config) -> tuple[str, ...]:
    """The names of a project's workers: ``worker``, then ``worker-2`` and so on."""
    return (WORKER, *(f"{WORKER}-{number}" for number in range(2, config.worker.processes + 1)))


def announce(home: Path, name: str, *, host: str = "", port: int = 0, grpc_port: int = 0) -> None:
    """Tell the other processes of the project that this one is there."""
    running = RunningProcess(pid=os.getpid(), host=host, port=port, grpc_port=grpc_port)
    write_private(run_file(home, name), msgspec.json.encode(running))


def withdraw(home: Path, name: str) -> None:
    """Take this process's announcement back, unless it is another's by now."""
    found = _read(run_file(home, name))
    if found is not None and found.pid == os.getpid():
        run_file(home, name).unlink(missing_ok=True)


def find_running(home: Path, name: str) -> RunningProcess | None:
    """The process of that name; None if it does not run."""
    found = _read(run_file(home, name))
    return found if found is not None and is_alive(found.pid) else None


def run_file(home: Path, name: str) -> Path:
    """Where a process announces itself."""
    return home / "run" / f"{name}.json"


def is_alive(pid: int) -> bool:
    """Whether there is a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def open_clock(config: Config) -> Clock:
    """The clock that the settings choose.

    Raises
    ------
    ConfigurationError
        For a mode other than ``system`` and ``replay``, or a start that is no RFC 3339 time with an offset.
    """
    if config.clock.mode == "system":
        return SystemClock()
    if config.clock.mode != "replay":
        raise ConfigurationError(f"[clock] mode {config.clock.mode!r} is neither 'system' nor 'replay'")
    return ReplayClock(config.home / "clock", start=_start(config.clock.start) if config.clock.start else None)


def follow_supervisor() -> None:
    """Stop this process when the supervisor that started it is no longer there; without one do nothing.

    As the supervisor would: by SIGTERM, and by SIGKILL if it has not ended in `PATIENCE_S`.
    """
    supervisor = os.environ.get(SUPERVISOR_VARIABLE, "")
    if not supervisor.isdecimal():
        return

    def watch() -> None:
        while os.getppid() == int(supervisor):
            threading.Event().wait(_ORPHAN_CHECK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(PATIENCE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow supervisor", daemon=True).start()


def _start(text: str) -> datetime:
    try:
        start = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"[clock] start {text!r} is no RFC 3339 time") from error
    if start.tzinfo is None:
        raise ConfigurationError(f"[clock] start {text!r} lacks an offset; write Z or +00:00 behind it")
    return start


def _read(path: Path) -> RunningProcess | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunningProcess)
    except (OSError, msgspec.DecodeError):
        return None
