"""Runs that people begin by themselves: ``with octavo.run("name") as run: run.log_metric("auc", 0.9)``.

They are kept where `OCTAVO_URL` says, with the token in `OCTAVO_TOKEN`; without it, in the project that the current
folder is in. Nothing heavy is imported before the first run is begun.
"""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octavo.clock import SystemClock
from octavo.config import config_here
from octavo.errors import ConfigurationError, OctavoError
from octavo.training.tracking.active import ACTIVE

if TYPE_CHECKING:
    from octavo.operations import Dispatcher
    from octavo.training.tracking.lines import Line
    from octavo.training.tracking.recorder import Recorder

log = logging.getLogger(__name__)

URL_VARIABLE, TOKEN_VARIABLE = "OCTAVO_URL", "OCTAVO_TOKEN"
_TIMEOUT_S = 30.0


def run(
    name: str = "",
    *,
    experiment: str | None = None,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    parent: "str | Recorder | None" = None,
    url: str | None = None,
    token: str | None = None,
    folder: Path | str | None = None,
    patience_s: float = 30.0,
) -> "Recorder":
    """Begin a run. As a context manager it ends with its block: well, failed with the error, or killed by Ctrl-C.

    Parameters
    ----------
    experiment : str or None
        What it belongs to; that of its parent, or ``Default``, unless given. Made if there is none.
    params, tags : mapping or None
        Values are kept as text.
    parent : str, Recorder or None
        The run that this is a part of; the innermost that is under way here unless given.
    url, token : str or None
        Of the Octavo that keeps it, such as ``https://octavo.example.org``; `OCTAVO_URL` and `OCTAVO_TOKEN` unless
        given.
    folder : path or None
        In a project, which keeps it if there is no `url`; the current folder unless given.
    patience_s : float
        How long its end waits for what was logged to arrive; what does not is kept in a folder.

    Raises
    ------
    ConfigurationError
        If there is neither a URL nor a project here.
    Unavailable
        If it cannot be reached.
    """
    from octavo.identifiers import new_id
    from octavo.training.tracking.experiments import DEFAULT
    from octavo.training.tracking.lines import RunThere
    from octavo.training.tracking.operations import CreateRun, RunsIn
    from octavo.training.tracking.recorder import Recorder, as_texts
    from octavo.training.tracking.surroundings import source, surroundings

    around = ACTIVE.get()
    above = parent if parent is not None else around
    line, shared = _line(around if url is None and folder is None else None, url=url, token=token, folder=folder)
    found = surroundings(Path(folder or Path.cwd()).resolve())
    texts, now = as_texts(params or {}), line.now()
    request = CreateRun(
        id=new_id(SystemClock()),
        name=name,
        experiment=experiment or getattr(above, "experiment", None) or DEFAULT,
        parent=above if isinstance(above, str) or above is None else above.id,
        params=texts,
        tags=as_texts(tags or {}),
        source=source(),
        started_at=now,
        runs_in=RunsIn(
            git=found.git,
            diff=found.diff.decode("utf-8", "replace"),
            environment=found.environment,
            hardware=found.hardware,
        ),
        alive=True,
    )
    try:
        line.call(request)
    except BaseException:
        if not shared:
            line.close()
        raise
    begun = Recorder(
        str(request.id),
        RunThere(str(request.id), line, keeps_line=shared),
        experiment=request.experiment,
        params=texts,
        now=line.now,
        patience_s=patience_s,
        leftover=Path.cwd(),
    )
    atexit.register(_abandon, weakref.ref(begun))
    return begun


def active_run() -> "Recorder | None":
    """The innermost run that is under way here; within a model's function, that of its training."""
    return ACTIVE.get()


class _DispatcherLine:
    """A line to a project's stores, opened in this process."""

    def __init__(self, folder: Path) -> None:
        from octavo.governance.access.publication import local_principal
        from octavo.training.tracking.lost import record_lost
        from octavo.wiring import build_dispatcher, open_context

        context = open_context(config_here(folder))
        record_lost(context)  # there may be no worker that does
        self._principal = local_principal(context)
        self._dispatcher: Dispatcher = build_dispatcher(context)
        self.now = context.clock.now

    def call(self, request: object) -> Any:
        """See `Line.call`."""
        return self._dispatcher.call(request, self._principal)

    def close(self) -> None:
        """Close the stores."""
        stores = self._dispatcher.context.stores
        for store in (stores.metadata, stores.online, stores.stream):
            store.close()


class _HttpLine:
    """A line to an Octavo elsewhere."""

    def __init__(self, url: str, token: str) -> None:
        from octavo.client.connections import Connection
        from octavo.training.operations import operations

        self._names = {operation.request: operation.name for operation in operations}
        self._connection = Connection(url, token=token, timeout_s=_TIMEOUT_S)
        self._lock = threading.Lock()

    def call(self, request: object) -> Any:
        """See `Line.call`; whatever a run asks for may be asked twice."""
        with self._lock:
            return self._connection.call("POST", f"/api/{self._names[type(request)]}", request, repeatable=True)

    def now(self) -> datetime:
        """By this machine's clock."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


def _line(
    around: "Recorder | None", *, url: str | None, token: str | None, folder: Path | str | None
) -> "tuple[Line, bool]":
    """The line for a run, and whether it is another's."""
    if around is not None and around.line is not None:
        return around.line, True
    address = url or (os.environ.get(URL_VARIABLE) if folder is None else None)
    if address:
        key = token or os.environ.get(TOKEN_VARIABLE, "")
        if not key:
            raise ConfigurationError(f"runs are kept at {address}, which needs a token: set {TOKEN_VARIABLE}")
        return _HttpLine(address, key), False
    try:
        return _DispatcherLine(Path(folder or Path.cwd()).resolve()), False
    except ConfigurationError as error:
        raise ConfigurationError(
            f"there is no place to keep runs: {error.message}; or set {URL_VARIABLE} and {TOKEN_VARIABLE}"
        ) from error


def _abandon(begun: "weakref.ref[Recorder]") -> None:
    """End a run that its process leaves open."""
    left = begun()
    if left is not None:
        try:
            left.end("killed", error="its process ended before the run did")
        except OctavoError as error:
            log.error("%s", error.message)
