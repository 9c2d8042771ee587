"""The process of a pickle, as whoever asks it sees it: started when it is first needed, and anew when it has ended."""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.errors import IntegrityError, PredictionFailed
from octavo.registry.jail.messages import ANSWERED, SHAPE, Begin, Ready, receive, send
from octavo.registry.jail.walls import WALLS

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
_LOAD_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_LONGEST_READY = 1 << 16
_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TZ")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(slots=True, eq=False)
class _Running:
    """A process that is ready, and what is to be ended with it."""

    process: "subprocess.Popen[bytes]"
    connection: socket.socket
    folder: "tempfile.TemporaryDirectory[str]"
    lifeline: int

    def end(self) -> None:
        with suppress(ProcessLookupError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.connection.close()
        os.close(self.lifeline)
        self.process.wait()
        self.folder.cleanup()


class JailedModel:
    """A model in a process of its own; one question at a time.

    Parameters
    ----------
    begin : Begin
    timeout_s : float
        What an answer may take.
    of : str
        Whose model it is, for those who read errors.

    Attributes
    ----------
    walls : tuple of str
        Which of `WALLS` stand around it.

    Raises
    ------
    IntegrityError
        If the pickle cannot be opened there.
    """

    def __init__(self, begin: Begin, *, timeout_s: float, of: str) -> None:
        self._begin, self._timeout_s, self._of = begin, timeout_s, of
        self._lock = threading.Lock()
        self._pause_s, self._again_at_s = _FIRST_PAUSE_S, 0.0
        self._running: list[_Running] = []
        weakref.finalize(self, _end_all, self._running)
        running, self.walls = _started(begin, of=of)
        self._running.append(running)
        if lacking := [wall for wall in WALLS if wall not in self.walls]:
            log.warning("the system does not allow to shut a pickle off from: %s", ", ".join(lacking))

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._running[0].process.pid if self._running else None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            _end_all(self._running)

    def __call__(self, matrix: npt.NDArray[Any]) -> Floats:
        """Answers, shape (n_rows,), for a matrix of shape (n_rows, n_inputs).

        Raises
        ------
        PredictionFailed
            If the model raises, takes too long or takes its process down; it is started again with the next question.
        """
        with self._lock:
            running = self._ready()
            try:
                return self._asked(running, np.ascontiguousarray(matrix, dtype=np.float64))
            except (OSError, ValueError) as error:  # no answer in time, or none that can be one
                reason = f"gave no answer within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else "ended"
                self._drop()
                raise PredictionFailed(f"{self._of}: its process {reason}; it is started again") from error

    def _asked(self, running: _Running, matrix: Floats) -> Floats:
        running.connection.settimeout(self._timeout_s)
        send(running.connection, SHAPE.pack(*matrix.shape) + matrix.tobytes())
        answer = receive(running.connection, longest=len(matrix) * 8 + _LONGEST_READY)
        if answer is None:
            raise ValueError("gone")
        if answer[:1] != ANSWERED:
            raise PredictionFailed(f"{self._of} raised {answer[1:].decode('utf-8', 'replace')}")
        values = np.frombuffer(answer, np.float64, offset=1) if len(answer) == len(matrix) * 8 + 1 else None
        if values is None:
            raise ValueError("not as many numbers as rows")
        self._pause_s = _FIRST_PAUSE_S
        return values

    def _ready(self) -> _Running:
        if not self._running:
            if time.monotonic() < self._again_at_s:
                raise PredictionFailed(f"{self._of}: its process ended and is not started again yet")
            self._again_at_s = time.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            try:
                self._running.append(_started(self._begin, of=self._of)[0])
            except IntegrityError as error:
                raise PredictionFailed(error.message) from error
        return self._running[0]

    def _drop(self) -> None:
        _end_all(self._running)
        self._again_at_s = time.monotonic() + self._pause_s


def _end_all(running: list[_Running]) -> None:
    while running:
        running.pop().end()


def _started(begin: Begin, *, of: str) -> tuple[_Running, tuple[str, ...]]:
    running = _process(begin)
    try:
        running.connection.settimeout(_LOAD_S)
        said = receive(running.connection, longest=_LONGEST_READY)
        ready = Ready(reason="its process ended") if said is None else msgspec.msgpack.decode(said, type=Ready)
    except TimeoutError:
        ready = Ready(reason=f"its process was not ready within {_LOAD_S:g} s")
    except (OSError, ValueError) as error:
        ready = Ready(reason=f"its process said what is no answer: {error}")
    if ready.reason:
        running.end()
        raise IntegrityError(f"{of}: the pickle cannot be opened: {ready.reason}")
    return running, ready.walls


def _process(begin: Begin) -> _Running:
    ours, theirs = socket.socketpair()
    held, lifeline = os.pipe()
    folder = tempfile.TemporaryDirectory(prefix="octavo-pickle-", ignore_cleanup_errors=True)
    with theirs, tempfile.TemporaryFile() as file:
        file.write(msgspec.msgpack.encode(begin))
        file.flush()
        file.seek(0)
        descriptors = (theirs.fileno(), file.fileno(), held)
        process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-m", "octavo.registry.jail", *map(str, descriptors)],
            pass_fds=descriptors,
            env=_environment(home=folder.name),
            cwd=folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    os.close(held)
    return _Running(process, ours, folder, lifeline)


def _environment(*, home: str) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, **dict.fromkeys(_ONE_THREAD, "1"), "HOME": home}
