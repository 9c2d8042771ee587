"""up, serve, status, login: the processes of a project."""

import logging
import os
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import typer

from octavo.access import LOCAL_TOKEN_FILE, ensure_admin, issue_login
from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, say, show_table
from octavo.cli.session import open_session
from octavo.config import Config, config_here
from octavo.errors import Unavailable
from octavo.features.online.backlog import Backlog, backlog
from octavo.loop.attention import needs_attention
from octavo.loop.predictor_logs import PredictorLogs
from octavo.monitoring.publication import Unpublished, unpublished
from octavo.operations import Context
from octavo.processes import CONTROL, PREDICTOR, RunningProcess, find_running, worker_names
from octavo.serving.fellows import predictor_folder
from octavo.serving.status import ModelStatus, models_in_memory

if TYPE_CHECKING:
    from octavo.loop.supervisor import RunningProject

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """A process of the project; without a pid it does not run."""

    name: str
    pid: int | None
    address: str
    grpc_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What runs for a project, what time it is there, and how much waits to be brought on.

    Attributes
    ----------
    sources : dict of source to Backlog
        In payloads, each of which holds up to some thousand events.
    unpublished : Unpublished or None
        Predictions that wait for the topic in ``[predictor] publish``; None if none is named.
    models : tuple of ModelStatus
        Those in the predictor's memory.
    attention : tuple of str
        What does not go on without a person.
    """

    project: str
    processes: tuple[ProcessStatus, ...]
    now: datetime
    replay: bool
    sources: dict[str, Backlog]
    unpublished: Unpublished | None = None
    models: tuple[ModelStatus, ...] = ()
    attention: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (up, status, login, serve):
        app.command()(command)


def up(json: Json = False) -> None:
    """Run the project: console and API, worker, predictor.

    A process that dies is started again, which is told here. It runs until Ctrl-C; then all is stopped in good order.
    Each process logs to .octavo/logs. All may be killed and started again at any time: what was accepted is not lost.
    The first time it puts the project's definitions into force; later `octavo apply` does.

    \b
    Example:
      octavo up

    \b
    Next, from another terminal:
      octavo status
      octavo train MODEL --release
      octavo predict DEPLOYMENT ROWS
    """
    from octavo.loop.supervisor import run_project

    config = config_here()
    logging.getLogger("octavo.loop").setLevel(logging.WARNING)

    def ready(running: "RunningProject") -> None:
        if json:
            addresses = {"control": running.control.url, **_predictor_addresses(running.predictor)}
            emit_json({**addresses, "console": _console_link(config, running.control.url)})
            return
        say(f"Console and API  {running.control.url}")
        _say_predictions(running.predictor)
        say(f"Open once        {_console_link(config, running.control.url)}")
        note("[dim]Ctrl-C stops it.[/]")

    note("[dim]Starting; this takes some seconds.[/]")
    run_project(config, on_ready=ready)


def serve(json: Json = False) -> None:
    """Run the predictor alone, here in the foreground.

    It serves what was released last from its own copies, and needs neither worker nor database for it. It runs until
    Ctrl-C; requests under way are answered first. Add --verbose before `serve` to see its log.

    \b
    Example:
      octavo serve

    \b
    Next, from another terminal:
      octavo predict DEPLOYMENT ROWS
    """
    from octavo.serving.process import serve as serve_predictions

    config = config_here()
    if ensure_admin(config.home):
        note(f"[dim]The administrator's token is in {plain(config.home / LOCAL_TOKEN_FILE)}[/]")

    def tell() -> None:
        while (running := find_running(config.home, PREDICTOR)) is None or running.pid != os.getpid():
            time.sleep(_POLL_S)
        _tell_serving(running, as_json=json)

    threading.Thread(target=tell, daemon=True).start()
    # uvicorn ends in good order on SIGINT, and then lets it through.
    with suppress(KeyboardInterrupt):
        serve_predictions(config)


def status(json: Json = False) -> None:
    """Show what runs, what time it is there, and what waits to be done.

    \b
    Example:
      octavo status

    \b
    Next:
      octavo up
      octavo monitor
    """
    with open_session() as session:
        found = _status(session.context)
    if json:
        emit_json(found)
        return
    say(f"Project [bold]{plain(found.project)}[/]. It is {found.now:%Y-%m-%d %H:%M} UTC{_replayed(found)}.")
    for need in found.attention:
        say(f"[bold]Needs you:[/] {plain(need)}")
    say("")
    show_table(
        ["process", ">pid", "address"],
        (
            [p.name, p.pid or "not running", " and gRPC ".join(filter(None, (p.address, p.grpc_address)))]
            for p in found.processes
        ),
        empty="",
    )
    say("")
    show_table(
        ["source", ">batches sent", ">not applied", ">not in the table"],
        ([name, b.published, b.unapplied, b.unshipped] for name, b in sorted(found.sources.items())),
        empty="No source yet. Declare one with oc.Source in the project's module.",
    )
    if found.models:
        say("")
        show_table(
            ["model in memory", ">version", ">MB", "serves"],
            (
                [
                    m.model,
                    m.version,
                    f"{m.size_bytes / 1e6:,.1f}",
                    ", ".join((*m.deployments, *m.called)) or "nobody now",
                ]
                for m in found.models
            ),
            empty="",
        )
    if found.unpublished is not None:
        say("")
        say(_told(found.unpublished))


def login(json: Json = False) -> None:
    """Print a link that opens the console.

    The link works once, and within a day. It logs in the local administrator.

    \b
    Example:
      octavo login

    \b
    Next:
      open the link in a browser
    """
    config = config_here()
    running = find_running(config.home, CONTROL)
    if running is None:
        raise Unavailable("the console does not run; start it with: octavo up")
    link = _console_link(config, running.url)
    if json:
        emit_json({"console": link})
    else:
        say(plain(link))


def _tell_serving(running: RunningProcess, *, as_json: bool) -> None:
    if as_json:
        emit_json(_predictor_addresses(running))
        return
    _say_predictions(running)
    note("[dim]Ctrl-C stops it.[/]")


def _predictor_addresses(predictor: RunningProcess) -> dict[str, str]:
    grpc = {"grpc": predictor.grpc_address} if predictor.grpc_port else {}
    return {"predictor": predictor.url, **grpc}


def _say_predictions(predictor: RunningProcess) -> None:
    say(f"Predictions      {predictor.url}/predict/DEPLOYMENT")
    if predictor.grpc_port:
        say(f"... by gRPC      {predictor.grpc_address}")


def _console_link(config: Config, url: str) -> str:
    return f"{url}/login?token={issue_login(config.home)}"


def _status(context: Context) -> Status:
    home = context.config.home
    processes = []
    for name in (CONTROL, *worker_names(context.config), PREDICTOR):
        running = find_running(home, name)
        if running is None:
            processes.append(ProcessStatus(name=name, pid=None, address=""))
            continue
        address = running.url if running.port else ""
        processes.append(ProcessStatus(name=name, pid=running.pid, address=address, grpc_address=running.grpc_address))
    return Status(
        project=context.project.name,
        processes=tuple(processes),
        now=context.clock.now(),
        replay=context.clock.is_replay,
        sources={name: backlog(context.stores, context.project, name) for name in context.project.sources},
        models=models_in_memory(home),
        attention=needs_attention(context),
        unpublished=_unpublished(context.config) if context.config.predictor.publish else None,
    )


def _unpublished(config: Config) -> Unpublished:
    with closing(PredictorLogs(config.home)) as logs:
        return unpublished(predictor_folder(config.home), logs.all())


def _told(waiting: Unpublished) -> str:
    left_out = f" {waiting.left_out:,} were too large for a message." if waiting.left_out else ""
    if waiting.since is None:
        return f"All recorded predictions are published.{left_out}"
    since = f"{waiting.since:%Y-%m-%d %H:%M} UTC"
    return f"{waiting.records:,} records of predictions wait to be published, since {since}.{left_out}"


def _replayed(status: Status) -> str:
    return ", by a replayed clock" if status.replay else ""
