"""Other processes that use a store, and their sudden death."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def python(code: str, *arguments: object, stderr: int | None = None) -> Iterator["Child"]:
    """Run a program in another process, which is killed at the end unless it has ended by itself."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


class Child:
    """A running program that tells its parent things line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line that it prints; waits for it."""
        return _stream(self._process.stdout).readline().strip()

    def go_on(self) -> None:
        """Let it read one line."""
        stream = _stream(self._process.stdin)
        stream.write("\n")
        stream.flush()

    def kill(self) -> list[str]:
        """End it at once by SIGKILL; returns the whole lines that it had printed since the last one read."""
        self._process.kill()
        rest = _stream(self._process.stdout).read()
        self._process.wait()
        return rest.rpartition("\n")[0].split("\n") if "\n" in rest else []

    def finish(self) -> list[str]:
        """Wait for its end, which must be a good one; returns the lines left."""
        rest = _stream(self._process.stdout).read()
        assert self._process.wait() == 0
        return rest.splitlines()

    def fail(self) -> str:
        """Wait for its end, which must be a bad one; returns what it told of that."""
        _, told = self._process.communicate()
        assert self._process.returncode != 0
        return told or ""


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
