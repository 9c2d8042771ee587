"""The predictor as a process: ``python -m octavo.serving`` in a project's folder."""

import gc
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
import uvicorn

from octavo.access import project_access
from octavo.clock import Clock, ReplayClock, SystemClock
from octavo.config import Config, PredictorSettings, find_root, load_config
from octavo.errors import ConfigurationError, OctavoError
from octavo.features.online import OnlineReader
from octavo.serving.app import PredictorApp
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.online import ReopeningStore
from octavo.serving.predict import Predictor
from octavo.serving.recorder import Recorder
from octavo.serving.status import write_atomically
from octavo.serving.watcher import Watcher
from octavo.stores.log import LocalLog
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.online import online_adapter

log = logging.getLogger(__name__)

_DRAIN_S = 10
_SWITCH_INTERVAL_S = 0.0005


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, *, address_file: Path, listening: socket.socket) -> None:
        super().__init__(config)
        self._address_file = address_file
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._listening.getsockname()[:2]
        write_atomically(self._address_file, msgspec.json.encode({"pid": os.getpid(), "host": host, "port": port}))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but without raising the signal again, which would end the process untidied."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def main() -> int:
    """Run the predictor of the project that the current folder is in, until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    try:
        serve(load_config(find_root(Path.cwd().resolve())))
    except OctavoError as error:
        print(f"octavo predictor: {error.message}", file=sys.stderr)  # noqa: T201 - a process says why it cannot start
        return 1
    return 0


def serve(config: Config) -> None:
    """Serve until the process is told to stop; requests under way are answered first.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on, or must not be without TLS.
    """
    check_exposure(config.predictor)
    app, watcher, record_log = build(config)
    listening = _listen(config.predictor)
    watcher.restore()
    watcher.look()
    # Requests wait for whoever holds the interpreter: what lives long is not collected again and again, and a watcher
    # that loads a bundle gives way ten times as often as by default.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    watcher.start()
    address_file = config.home / "run" / "predictor.json"
    try:
        _Server(_uvicorn_config(app), address_file=address_file, listening=listening).run(sockets=[listening])
    finally:
        address_file.unlink(missing_ok=True)
        watcher.stop()
        record_log.close()


def build(config: Config) -> tuple[PredictorApp, Watcher, LocalLog]:
    """Assemble a predictor."""
    metrics, clock = PredictorMetrics(), open_clock(config)
    online = ReopeningStore(partial(online_adapter(config), readonly=True))
    watcher = Watcher(
        config,
        ObjectArtifacts(config.path(config.stores.artifacts)),
        clock=clock,
        reader_of=lambda plan: OnlineReader(online, plan.views),
    )
    record_log = LocalLog(config.home / "predictor" / "log", sync=False, exclusive=True)
    predictor = Predictor(clock=clock, recorder=Recorder(record_log, metrics), metrics=metrics)
    app = PredictorApp(
        config.predictor, access=project_access(config.home), watcher=watcher, predictor=predictor, metrics=metrics
    )
    return app, watcher, record_log


def open_clock(config: Config) -> Clock:
    """The clock that the settings choose."""
    if config.clock.mode != "replay":
        return SystemClock()
    start = datetime.fromisoformat(config.clock.start) if config.clock.start else None
    return ReplayClock(config.home / "clock", start=start)


def check_exposure(settings: PredictorSettings) -> None:
    """Refuse to listen beyond this machine in the clear.

    Raises
    ------
    ConfigurationError
        If the host is not a loopback address and no proxy is stated to be in front.
    """
    try:
        is_local = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        is_local = False
    if not is_local and not settings.behind_proxy:
        raise ConfigurationError(
            f"[predictor] host {settings.host!r} is reachable from other machines, and tokens would cross the network in "
            "the clear; put a proxy with TLS in front and set behind_proxy = true, or listen on 127.0.0.1"
        )


def _listen(settings: PredictorSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"[predictor] cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "stop what does, or choose another port (0 takes a free one)"
        ) from error
    return listening


def _uvicorn_config(app: PredictorApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_S,
    )
