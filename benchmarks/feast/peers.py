"""Programs that are measured side by side, each in a process and an environment of its own.

A peer answers commands, one JSON document a line, and measures itself; the benchmark sends them to its peers in turn,
so that whatever else the machine does meets all alike. Both sides read this file; it needs the standard library only.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

Answer = dict[str, Any]


class Peer:
    """A program in a process of its own.

    Parameters
    ----------
    python : Path
        The interpreter of its environment.
    program : str
        A file beside this one, which calls `serve`.
    """

    def __init__(self, python: Path, program: str) -> None:
        command = [str(python), "-W", "ignore", str(Path(__file__).with_name(program))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command: str, **arguments: object) -> Answer:
        """Let it do something; returns what it did, with its ``wall_s``, ``cpu_s`` and ``peak_mb`` so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} ended: {self._process.wait()}")
        answer: Answer = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()


def serve(commands: dict[str, Callable[..., Answer | None]]) -> None:
    """Answer commands until there are no more; what a library prints goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        command = commands[asked.pop("command")]
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        done = command(**asked) or {}
        spent = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.write(json.dumps({**spent, "peak_mb": peak_mb, **done}) + "\n")
        answers.flush()
