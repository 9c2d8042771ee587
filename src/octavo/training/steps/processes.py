"""Tries of steps in processes of this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from octavo.training.steps.jobs import JOB, LOG, Ending, Job, Outcome, Stopped, read_outcome, write_new

_LOOK_EVERY_S = 0.02
_MEASURE_EVERY_S = 0.2


class LocalProcesses:
    """Each try in a process with a session of its own, which ends, with all that it started, when this process does.

    Parameters
    ----------
    command : tuple of str
        What runs a try, before its folder and lifeline.
    environment : mapping or None
        The variables that it has; those of this process unless given.
    """

    def __init__(
        self,
        command: tuple[str, ...] = (sys.executable, "-m", "octavo.training.steps.child"),
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = environment

    def run(self, job: Job, *, folder: Path, stopped: Stopped) -> Outcome:
        """See `Executor.run`."""
        write_new(folder / JOB, msgspec.json.encode(job))
        if stopped.is_set():
            return _stopped()
        lifeline, ours = os.pipe()
        try:
            with (folder / LOG).open("ab") as log:
                process = subprocess.Popen(
                    [*self._command, str(folder), str(lifeline)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lifeline,),
                    env=None if self._environment is None else dict(self._environment),
                    start_new_session=True,
                )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(lifeline)
        try:
            return _watched(process, job, folder=folder, stopped=stopped)
        finally:
            _kill(process)
            os.close(ours)


def resident_bytes(session: int) -> int:
    """What all processes of a session take together; 0 where the system does not tell."""
    page, total = os.sysconf("SC_PAGESIZE"), 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            fields = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                total += int(fields[21]) * page
    return total


def _watched(process: subprocess.Popen[bytes], job: Job, *, folder: Path, stopped: Stopped) -> Outcome:
    begun_s = measured_s = time.monotonic()
    while process.poll() is None:
        if stopped.wait(_LOOK_EVERY_S):
            return _stopped()
        now_s = time.monotonic()
        if job.timeout_s is not None and now_s - begun_s > job.timeout_s:
            return Outcome(ending=Ending.KILLED, error=f"took longer than the {job.timeout_s} s that it may take")
        if job.memory_bytes is not None and now_s - measured_s > _MEASURE_EVERY_S:
            measured_s = now_s
            taken = resident_bytes(process.pid)
            if taken > job.memory_bytes:
                allowed = f"{job.memory_bytes:,} bytes that it and what it started may take"
                return Outcome(ending=Ending.KILLED, error=f"took {taken:,} of the {allowed}")
    return read_outcome(folder) or Outcome(ending=Ending.KILLED, error=_how(process.returncode))


def _stopped() -> Outcome:
    return Outcome(ending=Ending.STOPPED, error="stopped, since the training ended before it")


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended its process with code {code}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started, also what that left behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
