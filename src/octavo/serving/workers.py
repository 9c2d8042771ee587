"""A predictor of several workers: a process that keeps them running, and answers nothing itself."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from octavo.config import Config, PredictorSettings
from octavo.processes import (
    PREDICTOR,
    SUPERVISOR_VARIABLE,
    RunningProcess,
    Told,
    announce,
    find_running,
    run_file,
    withdraw,
)
from octavo.servers import listen
from octavo.serving.fellows import VARIABLE, Worker, forget_others

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.05
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _SETTLED_AFTER_S = 0.2, 10.0, 30.0
_PATIENCE_S = 13.0


def run_workers(config: Config, *, count: int) -> None:
    """Keep so many workers running on one port, until SIGTERM or SIGINT; then let them end in good order.

    One that dies is started again and the others do not notice. They are announced as one predictor, once all listen.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on, or must not be without TLS.
    """
    told = Told()
    with told.by_signals(), _reserved(config) as reserved:
        forget_others(config.home, count=count)
        workers = [_Kept(Worker(number=number, count=count), reserved) for number in range(count)]
        is_announced = False
        try:
            while not told():
                for worker in workers:
                    worker.keep_running()
                if not is_announced and (running := _all_running(workers)):
                    announce(config.home, PREDICTOR, host=running.host, port=running.port, grpc_port=running.grpc_port)
                    is_announced = True
                time.sleep(_LOOK_EVERY_S)
        finally:
            withdraw(config.home, PREDICTOR)
            _stop(workers)


class _Kept:
    """A worker's process, started again when it dies, after ever longer pauses."""

    def __init__(self, worker: Worker, config: Config) -> None:
        self._worker = worker
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._started_s = self._start_at_s = 0.0

    @property
    def announced(self) -> RunningProcess | None:
        """How it announced itself; None before it did."""
        found = find_running(self._config.home, self._worker.process)
        return found if found and self._process and found.pid == self._process.pid else None

    def keep_running(self) -> None:
        now_s = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._bury(code, lasted_s=now_s - self._started_s)
        if now_s >= self._start_at_s:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "octavo.serving"],
                cwd=self._config.root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C reaches the parent alone, which ends its workers in good order
            )
            self._started_s = now_s

    def tell_to_stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait_for_end(self, *, patience_s: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            log.error("worker %d does not end when told to; it is killed", self._worker.number)
            self._process.kill()
            self._process.wait()
        run_file(self._config.home, self._worker.process).unlink(missing_ok=True)

    def _bury(self, code: int, *, lasted_s: float) -> None:
        self._process = None
        if lasted_s > _SETTLED_AFTER_S:
            self._pause_s = _FIRST_PAUSE_S
        self._start_at_s = time.monotonic() + self._pause_s
        log.error("worker %d ended with %d; started again in %g s", self._worker.number, code, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _environment(self) -> dict[str, str]:
        settings = self._config.predictor
        return {
            **os.environ,
            "OCTAVO_PREDICTOR_PORT": str(settings.port),
            "OCTAVO_PREDICTOR_GRPC_PORT": str(settings.grpc_port),
            VARIABLE: f"{self._worker.number}/{self._worker.count}",
            SUPERVISOR_VARIABLE: str(os.getpid()),
        }


def _all_running(workers: Sequence[_Kept]) -> RunningProcess | None:
    """How the first is announced once all are."""
    found = [worker.announced for worker in workers]
    return found[0] if all(found) else None


def _stop(workers: Sequence[_Kept]) -> None:
    for worker in workers:
        worker.tell_to_stop()
    for worker in workers:
        worker.wait_for_end(patience_s=_PATIENCE_S + worker._config.predictor.linger_ms / 1000)


@contextmanager
def _reserved(config: Config) -> Iterator[Config]:
    """The settings with ports that are this predictor's while it runs, though nobody listens here."""
    settings = config.predictor
    with ExitStack() as held:
        settings = replace(settings, port=_reserve(held, settings, setting="port"))
        if settings.grpc_port >= 0:
            address = replace(settings, port=settings.grpc_port)
            settings = replace(settings, grpc_port=_reserve(held, address, setting="grpc_port"))
        yield replace(config, predictor=settings)


def _reserve(held: ExitStack, address: PredictorSettings, *, setting: str) -> int:
    alone = listen("predictor", address, setting=setting)
    port: int = alone.getsockname()[1]
    alone.close()  # nobody else had it; now it is shared with the workers
    held.enter_context(listen("predictor", replace(address, port=port), setting=setting, shared=True))
    return port
