"""The predictor as a process: ``python -m octavo.serving`` in a project's folder."""

import gc
import logging
import os
import sys
from functools import partial
from pathlib import Path

import uvicorn

from octavo.access import project_access
from octavo.config import Config, find_root, load_config
from octavo.errors import OctavoError
from octavo.features.online.reader import OnlineReader
from octavo.logs import log_to_stderr
from octavo.processes import PREDICTOR, follow_supervisor, open_clock
from octavo.servers import AnnouncingServer, listen
from octavo.serving.app import PredictorApp
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.predict import Predictor
from octavo.serving.recorder import Recorder
from octavo.serving.watcher import Watcher
from octavo.stores.log import LocalLog
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.online import online_adapter
from octavo.stores.reopening import ReopeningStore

log = logging.getLogger(__name__)

_DRAIN_S = 10
_SWITCH_INTERVAL_S = 0.0005


def main() -> int:
    """Run the predictor of the project that the current folder is in, until SIGTERM or SIGINT."""
    log_to_stderr()
    os.umask(0o077)
    try:
        serve(load_config(find_root(Path.cwd().resolve())))
    except OctavoError as error:
        log.error("%s", error.message)
        return 1
    return 0


def serve(config: Config) -> None:
    """Serve until the process is told to stop; requests under way are answered first.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on, or must not be without TLS.
    """
    listening = listen("predictor", config.predictor)
    follow_supervisor()
    app, watcher, record_log = build(config)
    watcher.restore()
    watcher.look()
    # Requests wait for whoever holds the interpreter: what lives long is not collected again and again, and a watcher
    # that loads a bundle gives way ten times as often as by default.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    watcher.start()
    server = AnnouncingServer(_uvicorn_config(app), home=config.home, name=PREDICTOR, listening=listening)
    try:
        server.serve_until_told()
    finally:
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
