"""A process of the project as a child of the supervisor: started, started again, stopped."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from octavo.config import Config
from octavo.processes import (
    CONTROL,
    PATIENCE_S,
    PREDICTOR,
    SUPERVISOR_VARIABLE,
    WORKER,
    RunningProcess,
    find_running,
    run_file,
)

log = logging.getLogger(__name__)

MODULES = {CONTROL: "octavo.api", WORKER: "octavo.loop", PREDICTOR: "octavo.serving"}
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _SETTLED_AFTER_S = 0.2, 10.0, 30.0


class Child:
    """A process that is started again when it dies, after ever longer pauses.

    Parameters
    ----------
    name : str
        ``control``, ``worker`` or ``predictor``; ``worker-2`` is another worker.

    Attributes
    ----------
    deaths : int
        How often it ended by itself.
    """

    def __init__(self, name: str, config: Config) -> None:
        self.name = name
        self.deaths = 0
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._port = self._grpc_port = 0
        self._pause_s = _FIRST_PAUSE_S
        self._started_s = self._start_at_s = 0.0

    @property
    def log_file(self) -> Path:
        """Where the process logs to."""
        return self._config.home / "logs" / f"{self.name}.log"

    def announced(self) -> RunningProcess | None:
        """How the running process announced itself; None before it did."""
        found = find_running(self._config.home, self.name)
        if found is None or self._process is None or found.pid != self._process.pid:
            return None
        self._port, self._grpc_port = found.port, found.grpc_port
        return found

    def keep_running(self) -> None:
        """Start the process if it does not run and its pause is over."""
        now_s = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._bury(code, lasted_s=now_s - self._started_s)
        if now_s >= self._start_at_s:
            self._start()

    def tell_to_stop(self) -> None:
        """Ask it to end; it finishes what is under way first."""
        if self._process is not None:
            self._process.terminate()

    def wait_for_end(self) -> None:
        """Wait for its end, but not for ever: then it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            log.error("%s does not end when told to; it is killed", self.name)
            self._process.kill()
            self._process.wait()
        self._process = None
        run_file(self._config.home, self.name).unlink(missing_ok=True)

    def _bury(self, code: int, *, lasted_s: float) -> None:
        self._process = None
        self.deaths += 1
        if lasted_s > _SETTLED_AFTER_S:
            self._pause_s = _FIRST_PAUSE_S
        self._start_at_s = time.monotonic() + self._pause_s
        log.error("%s ended with %d after %.1f s; started again in %g s", self.name, code, lasted_s, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _start(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *_program(self.name)],
                cwd=self._config.root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C reaches the supervisor alone, which ends its children in good order
            )
        self._started_s = time.monotonic()

    def _environment(self) -> dict[str, str]:
        """The settings that the supervisor goes by; a free port that was taken once is asked for again."""
        environment = {**os.environ, **settings_as_variables(self._config), SUPERVISOR_VARIABLE: str(os.getpid())}
        if self._port:
            environment[f"OCTAVO_{self.name.upper()}_PORT"] = str(self._port)
        if self._grpc_port:
            environment[f"OCTAVO_{self.name.upper()}_GRPC_PORT"] = str(self._grpc_port)
        return environment


def _program(name: str) -> list[str]:
    kind, _, number = name.partition("-")
    return [MODULES[kind], "work", name] if number else [MODULES[kind]]


def stop_all(children: Iterable[Child]) -> None:
    """Stop all at once, and return when none is left."""
    stopping = list(children)
    for child in stopping:
        child.tell_to_stop()
    for child in stopping:
        child.wait_for_end()


def settings_as_variables(config: Config) -> dict[str, str]:
    """All settings as ``OCTAVO_*``, so that a child has them wherever they came from."""
    sections = ((f.name, getattr(config, f.name)) for f in fields(config) if f.name != "root")
    return {
        f"OCTAVO_{section}_{setting.name}".upper(): _written(getattr(settings, setting.name))
        for section, settings in sections
        for setting in fields(settings)
    }


def _written(value: object) -> str:
    """A setting as `octavo.config` reads it from the environment."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
