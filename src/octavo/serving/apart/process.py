"""One process that runs functions, from its start to its end, as the predictor sees it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from octavo.serving.apart.child import OUT_OF_MEMORY
from octavo.serving.apart.messages import LENGTH, Ask, Begin, framed

_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TZ")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class FunctionProcess:
    """A process that was told to begin; it loads its code first.

    It has neither the predictor's environment nor its descriptors, an empty working folder, and a session of its own.
    What the functions print goes nowhere: it may hold what requests hold.

    Parameters
    ----------
    begin : Begin
    warm_up : Ask
        The first question, sent at once; its answer says that the code is loaded.

    Attributes
    ----------
    connection : socket
        To it.
    """

    def __init__(self, begin: Begin, warm_up: Ask) -> None:
        beginning = _written(msgspec.msgpack.encode(begin))
        self.connection, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._folder = tempfile.TemporaryDirectory(prefix="octavo-functions-", ignore_cleanup_errors=True)
        try:
            descriptors = (theirs.fileno(), lifeline, beginning)
            command = ["-P", "-B", "-m", "octavo.serving.apart", *map(str, descriptors)]
            self._process = subprocess.Popen(
                [sys.executable, *command],
                pass_fds=descriptors,
                env=_environment(home=self._folder.name),
                cwd=self._folder.name,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            self.connection.close()
            os.close(self._lifeline)
            self._folder.cleanup()
            raise
        finally:
            theirs.close()
            os.close(lifeline)
            os.close(beginning)
        self.connection.sendall(framed(warm_up))  # fits what a socket holds
        self.connection.setblocking(False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it, with all that it started; nothing else is sent or read."""
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        self.connection.close()
        self._folder.cleanup()

    def ended(self) -> str | None:
        """How it ended; None while it has not."""
        code = self._process.poll()
        if code is None:
            return None
        if code == OUT_OF_MEMORY:
            return "needed more memory than [predictor] code_memory allows"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"

    def wait(self, *, patience_s: float = 0.0) -> str:
        """How it ended, once it has; it is killed if that takes longer than `patience_s`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self.kill()
        self._process.wait()
        return self.ended() or ""

    def delayed_s(self) -> float:
        """How long it could have run since its start, and had no core; 0 where the system does not tell."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def resident_bytes(self) -> int:
        """The memory that it takes now; 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGESIZE")


class Answers:
    """The answers in what is read from a connection, one after the other."""

    def __init__(self) -> None:
        self._read = bytearray()

    def feed(self, data: bytes, *, longest: int) -> list[bytes]:
        """What is whole by now.

        Raises
        ------
        ValueError
            If one says that it is longer than `longest`, which no answer is.
        """
        if not self._read and len(data) >= LENGTH.size and len(data) == LENGTH.size + LENGTH.unpack_from(data)[0]:
            return [data[LENGTH.size :]]
        self._read += data
        found = []
        while len(self._read) >= LENGTH.size:
            length = LENGTH.unpack_from(self._read)[0]
            if length > longest:
                raise ValueError("too long")
            if len(self._read) < LENGTH.size + length:
                break
            found.append(bytes(self._read[LENGTH.size : LENGTH.size + length]))
            del self._read[: LENGTH.size + length]
        return found


def _written(data: bytes) -> int:
    """A descriptor to read data from, of a file that has no name."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        return os.dup(file.fileno())


def _environment(*, home: str) -> dict[str, str]:
    """What any process needs, and no secret; one thread, since the other cores are others'."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, **dict.fromkeys(_ONE_THREAD, "1"), "HOME": home}
