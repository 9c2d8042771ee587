"""``octavo up``: control, worker and predictor as children of one process that keeps them running."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from octavo.config import Config
from octavo.definitions.project import load_project
from octavo.errors import ConfigurationError, Conflict, OctavoError, Unavailable
from octavo.loop.children import Child, stop_all
from octavo.loop.definitions import AppliedProject, ApplyProject
from octavo.loop.definitions import operations as definition_operations
from octavo.operations import SYSTEM, Context, Dispatcher
from octavo.processes import (
    CONTROL,
    PREDICTOR,
    WORKER,
    RunningProcess,
    Told,
    find_running,
    open_clock,
    run_file,
    worker_names,
)
from octavo.servers import listen
from octavo.stores.locks import FileLock
from octavo.stores.open import open_stores
from octavo.stores.sql.postgres import SCHEME as POSTGRES

log = logging.getLogger(__name__)

_LOOK_EVERY_S, _LOOK_AT_CODE_EVERY_S = 0.1, 1.0
_FRESH_HEARTBEAT_S = 10.0
_DEATHS_AT_START = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProject:
    """Where a project that is up can be reached."""

    control: RunningProcess
    predictor: RunningProcess


def run_project(
    config: Config,
    *,
    on_ready: Callable[[RunningProject], None] = lambda running: None,
    stop: threading.Event | None = None,
) -> None:
    """Run a project until SIGINT or SIGTERM; then nothing of it is left running.

    Parameters
    ----------
    on_ready : callable
        Called once, when all three processes are ready.
    stop : Event or None
        Ends it as well. Outside the main thread, where no signal arrives, it alone does.

    Raises
    ------
    ConfigurationError
        If a port is taken, the project cannot be loaded, or there cannot be so many workers.
    Conflict
        If the project is up already.
    Unavailable
        If a process cannot be started.
    """
    check_workers(config)
    told = Told()
    with _alone(config), told.by_signals(), _definitions_in_force(config) as context:
        for section, address in (("control", config.control), ("predictor", config.predictor)):
            listen(section, address).close()
        children = {name: Child(name, config) for name in (CONTROL, *worker_names(config), PREDICTOR)}
        try:
            _keep_running(
                context, children, on_ready=on_ready, told=lambda: told() or (stop is not None and stop.is_set())
            )
        finally:
            stop_all(children.values())


def _keep_running(
    context: Context,
    children: Mapping[str, Child],
    *,
    on_ready: Callable[[RunningProject], None],
    told: Callable[[], bool],
) -> None:
    code, look_at_code_s, is_ready = _code_in_force(context), time.monotonic() + _LOOK_AT_CODE_EVERY_S, False
    while not told():
        for child in children.values():
            child.keep_running()
        if not is_ready:
            _check_deaths(children)
            if running := _ready(context.config, children):
                is_ready = True
                on_ready(running)
        if time.monotonic() > look_at_code_s:
            look_at_code_s = time.monotonic() + _LOOK_AT_CODE_EVERY_S
            code = _follow_code(context, children, known=code)
        time.sleep(_LOOK_EVERY_S)


def _ready(config: Config, children: Mapping[str, Child]) -> RunningProject | None:
    """Where the project can be reached once all of it is ready."""
    control, predictor = children[CONTROL].announced(), children[PREDICTOR].announced()
    workers = [children[name].announced() for name in worker_names(config)]
    if control is None or predictor is None or None in workers:
        return None
    if time.time() - run_file(config.home, WORKER).stat().st_mtime > _FRESH_HEARTBEAT_S or not _is_live(control):
        return None
    return RunningProject(control=control, predictor=predictor)


def _is_live(process: RunningProcess) -> bool:
    connection = HTTPConnection(process.host, process.port, timeout=2.0)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _check_deaths(children: Mapping[str, Child]) -> None:
    """A process that dies again and again before all were ever ready will not come up by itself."""
    for child in children.values():
        if child.deaths >= _DEATHS_AT_START:
            lines = child.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
            raise Unavailable(
                f"{child.name} cannot be started; {child.log_file} ends with: {lines[-1] if lines else ''}"
            )


def _follow_code(context: Context, children: Mapping[str, Child], *, known: str) -> str:
    """Start anew, with the code that was put into force meanwhile, whatever runs the project's code."""
    try:
        code = _code_in_force(context)
    except OctavoError as error:
        log.error("cannot see which code is in force: %s", error.message)
        return known
    if code != known:
        log.warning("other code is in force; control and worker start anew")
        stop_all([children[CONTROL], *(children[name] for name in worker_names(context.config))])
    return code


def _code_in_force(context: Context) -> str:
    with context.transaction() as tx:
        applied = tx.get(AppliedProject, context.project.name)
    return applied.code if applied else ""


@contextmanager
def _definitions_in_force(config: Config) -> Iterator[Context]:
    """The project's context, its definitions in force: they are put there if nothing ever was."""
    project = load_project(config.module_path, name=config.project.name)
    stores = open_stores(config, writes_online=False)
    with ExitStack() as closing:
        for store in (stores.metadata, stores.online, stores.stream):
            closing.callback(store.close)
        context = Context(config=config, clock=open_clock(config), stores=stores, project=project, principal=SYSTEM)
        if not _code_in_force(context):
            Dispatcher(definition_operations, context).call(ApplyProject(), SYSTEM)
        yield context


def check_workers(config: Config) -> None:
    """See that there can be as many workers as the settings say.

    Raises
    ------
    ConfigurationError
        If not.
    """
    if config.worker.processes < 1:
        raise ConfigurationError("[worker] processes is not a number from 1 on", setting="worker.processes")
    if config.worker.processes == 1:
        return
    if config.clock.mode == "replay":
        raise ConfigurationError("a replay has one worker, by which its clock goes; set [worker] processes = 1")
    for setting, url in (("metadata", config.stores.metadata), ("workflows", config.stores.workflows)):
        if not url.startswith(POSTGRES):
            raise ConfigurationError(
                f"[worker] processes = {config.worker.processes} needs [stores] {setting} in PostgreSQL; write "
                "postgresql://USER@HOST:PORT/DATABASE, or set it to 1",
                setting=f"stores.{setting}",
            )


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One supervisor at a time; what another left behind when it died is cleared away."""
    lock = FileLock(config.home / "run" / "up.lock")
    if not lock.acquire():
        raise Conflict(f"this project is up already, under process {lock.holder}; see it with: octavo status")
    try:
        for name in (CONTROL, *worker_names(config), PREDICTOR):
            if find_running(config.home, name) is None:
                run_file(config.home, name).unlink(missing_ok=True)
        yield
    finally:
        lock.release()
