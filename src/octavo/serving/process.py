"""The predictor as a process: ``python -m octavo.serving`` in a project's folder."""

import gc
import logging
import os
import resource
import sys
from dataclasses import replace
from pathlib import Path

from octavo.access import Callers, project_access
from octavo.config import Config, PredictorSettings, find_root, load_config
from octavo.errors import OctavoError
from octavo.logs import log_to_stderr
from octavo.processes import follow_supervisor, open_clock
from octavo.servers import listen
from octavo.serving.access_watch import AccessWatch
from octavo.serving.apart.functions import Apart
from octavo.serving.app import PredictorApp
from octavo.serving.commits import DurableLog
from octavo.serving.composites import CompositePredictor
from octavo.serving.fellows import Fellows, Worker, forget_others, worker_count, worker_here
from octavo.serving.guarded import GuardedReader
from octavo.serving.later.holding import HoldingLog
from octavo.serving.later.opening import open_later
from octavo.serving.later.work import Records
from octavo.serving.lookup import FeatureLookup
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.predict import Predictor
from octavo.serving.recorder import TOPIC, Recorder
from octavo.serving.server import DRAIN_S, Beside, PredictorServer
from octavo.serving.tracing import Tracing
from octavo.serving.watcher import Watcher
from octavo.serving.workers import run_workers
from octavo.stores.log import LocalLog
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.online import loop_reader

log = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.0005
_OTHER_FILES = 512
_LOOK_EVERY_S = 0.1
"""How old may be what is known of the tokens: a look at their file is a tenth of what else a request costs."""


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
    worker, count = worker_here(), worker_count(config.predictor)
    if worker is None and count > 1:
        follow_supervisor()
        run_workers(config, count=count)
        return
    if worker is None:
        forget_others(config.home, count=1)
    _serve(config, worker or Worker())


def _serve(config: Config, worker: Worker) -> None:
    listening = listen("predictor", config.predictor, shared=worker.count > 1)
    follow_supervisor()
    _allow_files(config.predictor.max_connections)
    callers = AccessWatch(
        config,
        ObjectArtifacts(config.path(config.stores.artifacts)),
        tokens=project_access(config.home, look_every_s=_LOOK_EVERY_S),
        process=worker.process,
    )
    app, watcher, record_log = build(config, worker, callers=callers.authority)
    callers.restore()
    beside = grpc_server(app, config.predictor, shared=worker.count > 1)
    watcher.restore()
    watcher.look()
    _hold(record_log)
    # Requests wait for whoever holds the interpreter: what lives long is not collected again and again, and a watcher
    # that loads a bundle gives way ten times as often as by default.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    watcher.start()
    callers.start()
    server = PredictorServer(
        app,
        config.predictor,
        home=config.home,
        name=worker.process,
        listening=listening,
        note_stall=watcher.note_stall,
        beside=beside,
    )
    try:
        server.serve_until_told()
    finally:
        callers.stop()
        watcher.stop()
        app.close()
        record_log.close()


def grpc_server(app: PredictorApp, settings: PredictorSettings, *, shared: bool = False) -> Beside | None:
    """What speaks gRPC for a predictor; None if it is not wanted, or its libraries are not there.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on, or must not be without TLS.
    """
    if settings.grpc_port < 0:
        return None
    try:
        from octavo.serving.grpc.server import GrpcServer
    except ModuleNotFoundError as error:
        log.info("gRPC is not served; for it: pip install 'octavo[grpc]'", extra={"missing": error.name})
        return None
    listening = listen("predictor", replace(settings, port=settings.grpc_port), setting="grpc_port", shared=shared)
    return GrpcServer(app, settings, listening=listening, drain_s=DRAIN_S)


def build(
    config: Config, worker: Worker | None = None, *, callers: Callers | None = None
) -> tuple[PredictorApp, Watcher, LocalLog]:
    """Assemble a predictor, or one of its workers; its callers are those with tokens of this machine unless given."""
    worker, metrics, clock = worker or Worker(), PredictorMetrics(), open_clock(config)
    online = GuardedReader(loop_reader(config))
    metrics.include(online.families)
    apart = Apart(config.predictor)
    metrics.include(apart.families)
    watcher = Watcher(
        config,
        ObjectArtifacts(config.path(config.stores.artifacts)),
        clock=clock,
        lookup_of=lambda plan: FeatureLookup.of_plan(online, plan),
        worker=worker,
        open_functions=apart.open,
    )
    is_durable = config.predictor.log == "durable"
    record_log = LocalLog(worker.log_folder(config.home), sync=is_durable, exclusive=True)
    durable = DurableLog(record_log, topic=TOPIC) if is_durable else None
    recorder = Recorder(HoldingLog(durable or record_log), metrics)
    predictor = Predictor(clock=clock, recorder=recorder, metrics=metrics)
    composites = CompositePredictor(predictor, clock=clock, recorder=recorder)
    records = Records(
        publish=(durable or record_log).publish,
        kept=durable.kept if durable else None,
        log_of=lambda number: record_log if number == worker.number else _log_of(config, number),
    )
    later = open_later(config, records, worker=worker, metrics=metrics)
    app = PredictorApp(
        config.predictor,
        access=callers or project_access(config.home, look_every_s=_LOOK_EVERY_S),
        watcher=watcher,
        predictor=predictor,
        composites=composites,
        metrics=metrics,
        tracing=_tracing(config),
        kept=durable.kept if durable else None,
        fellows=Fellows(worker, home=config.home, metrics=metrics),
        later=later,
        heads_for_s=_LOOK_EVERY_S,
    )
    return app, watcher, record_log


def _hold(record_log: LocalLog) -> None:
    """Read on to the end of what is recorded, which the first request would do while all others wait."""
    try:
        record_log.hold(TOPIC)
    except OctavoError as error:
        log.error("predictions cannot be recorded yet", extra={"reason": error.message})


def _log_of(config: Config, number: int) -> LocalLog:
    """The log of another worker, to be read."""
    return LocalLog(Worker(number=number, count=number + 1).log_folder(config.home), sync=False)


def _tracing(config: Config) -> Tracing:
    if not config.telemetry.otlp:
        return Tracing()
    from octavo.serving.otlp import OtlpExporter

    return Tracing(OtlpExporter(config.telemetry.otlp), sample=config.telemetry.sample)


def _allow_files(connections: int) -> None:
    """Have the system allow as many open files as connections need, if it may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
