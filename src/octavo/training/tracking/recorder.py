"""A run as the code that is a part of it sees it: what it did is logged with a line each."""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextvars import Token
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from octavo.errors import Conflict, InvalidRequest, OctavoError, Unavailable
from octavo.training.runs import RunStatus
from octavo.training.tracking import names
from octavo.training.tracking.active import ACTIVE
from octavo.training.tracking.outbox import Batch, Carrier, Measured, Outbox

if TYPE_CHECKING:
    from octavo.training.tracking.lines import Line

log = logging.getLogger(__name__)

Now = Callable[[], datetime]


def _system_now() -> datetime:
    return datetime.now(UTC)


class Destination(Carrier, Protocol):
    """Where a run is kept."""

    def end(self, status: RunStatus, *, error: str, at: datetime) -> None:
        """Record how the run ended."""

    def close(self) -> None:
        """Release what is held."""


class Recorder:
    """A run that is under way. What is logged is sent in the background, and all of it by the end.

    Parameters
    ----------
    id, experiment : str
    destination : Destination
    params : mapping
        Those that it was begun with.
    patience_s : float
        How long the end of the run waits for what was logged to arrive.
    leftover : Path or None
        A folder in which what could not be delivered is kept.
    """

    def __init__(
        self,
        id: str,
        destination: Destination,
        *,
        experiment: str = "",
        params: Mapping[str, str] | None = None,
        now: Now = _system_now,
        patience_s: float = 30.0,
        leftover: Path | None = None,
    ) -> None:
        self.id, self.experiment = id, experiment
        self._destination = destination
        self._params = dict(params or {})
        self._steps: dict[str, int] = {}
        self._now, self._patience_s, self._leftover = now, patience_s, leftover
        self._outbox = Outbox(destination, patience_s=patience_s)
        self._lock = threading.Lock()
        self._ended = False
        self._token: Token[Recorder | None] | None = None
        self._pid = os.getpid()

    @property
    def line(self) -> "Line | None":
        """The way on which it is reached, which runs within it go too; not those of a process that was forked."""
        return getattr(self._destination, "line", None) if self._pid == os.getpid() else None

    def log_param(self, name: str, value: object) -> None:
        """Log a parameter: what the run was done with, which does not change.

        Raises
        ------
        Conflict
            If it has another value already.
        """
        self.log_params({name: value})

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log several parameters; all or none."""
        texts = as_texts(params)
        names.check_texts(texts, field="params", most=names.MOST_PARAM)
        with self._lock:
            for name, value in texts.items():
                if self._params.get(name, value) != value:
                    raise Conflict(
                        f"run {self.id} has the parameter {name!r} = {self._params[name][:60]!r} already, and a "
                        "parameter does not change; log what changes as a metric or a tag",
                        param=name,
                    )
            self._params |= texts
        self._send(Batch(params=texts))

    def log_metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log a value of a metric.

        Parameters
        ----------
        step : int or None
            One more than the last of the metric unless given, from 0 on.
        """
        self.log_metrics({name: value}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log a value of each of several metrics."""
        at, points = self._now(), []
        with self._lock:
            for name, value in metrics.items():
                here = self._steps.get(name, -1) + 1 if step is None else int(step)
                points.append(_measured(names.check_name(name, field="metrics"), value, step=here, at=at))
            self._steps |= {point.name: max(point.step, self._steps.get(point.name, -1)) for point in points}
        self._send(Batch(points=points))

    def set_tag(self, name: str, value: object) -> None:
        """Set a tag, which may be set again."""
        self.set_tags({name: value})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set several tags."""
        texts = as_texts(tags)
        names.check_texts(texts, field="tags", most=names.MOST_TAG)
        self._send(Batch(tags=texts))

    def log_text(self, name: str, text: str) -> None:
        """Keep a text as an artifact."""
        self.log_bytes(name, text.encode())

    def log_bytes(self, name: str, data: bytes) -> None:
        """Keep bytes as an artifact, under a relative name such as ``plots/roc.svg``."""
        names.check_artifact(name)
        if name.startswith(names.RESERVED):
            raise InvalidRequest(f"{name!r} is a name of Octavo's own", field="name", fix="choose another folder")
        if len(data) > names.MOST_ARTIFACT_BYTES:
            raise InvalidRequest(
                f"{name} has {len(data):,} bytes, and may have {names.MOST_ARTIFACT_BYTES:,}",
                field="data",
                fix="log where it is instead: run.set_tag(name, place)",
            )
        self._usable()
        self._outbox.add_artifact(name, bytes(data))

    def log_artifact(self, path: str | Path, name: str | None = None) -> None:
        """Keep a file as it is now, or all files of a folder, as artifacts.

        Parameters
        ----------
        name : str or None
            What it is called in the run; the file's or folder's own name unless given.
        """
        place = Path(path)
        called = name or place.resolve().name
        if not place.exists():
            raise InvalidRequest(f"there is no file {place}", field="path", fix="name a file or a folder that exists")
        if place.is_dir():
            for file in sorted(one for one in place.rglob("*") if one.is_file()):
                self.log_bytes(f"{called}/{file.relative_to(place).as_posix()}", file.read_bytes())
        else:
            self.log_bytes(called, place.read_bytes())

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all that was logged has arrived.

        Raises
        ------
        Unavailable
            If it has not in time; it is still on its way.
        OctavoError
            If some of it was refused.
        """
        if not self._outbox.flush(timeout_s):
            raise Unavailable(f"what run {self.id} logged could not be delivered within {timeout_s:g} s yet")
        if refusals := self._outbox.refusals:
            raise refusals[0]

    def end(self, status: RunStatus | str = RunStatus.SUCCEEDED, *, error: str = "") -> None:
        """Deliver all that was logged, and record how the run ended; again, it does nothing.

        Raises
        ------
        OctavoError
            If some of what was logged was refused, or could not be delivered; says where that was kept.
        """
        if self._ended or self._pid != os.getpid():
            return
        self._ended = True
        self._leave()
        at = self._now()
        batch, artifacts = self._outbox.close(self._patience_s)
        problem: OctavoError | None = next(iter(self._outbox.refusals), None)
        try:
            if batch or artifacts:
                raise Unavailable("it could not be reached")
            self._destination.end(RunStatus(status), error=error, at=at)
        except Unavailable as unreached:
            problem = self._kept(batch, artifacts, RunStatus(status), error, at, unreached)
        finally:
            with contextlib.suppress(OctavoError):
                self._destination.close()
        if problem is not None:
            raise problem

    def __enter__(self) -> Self:
        self._token = ACTIVE.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end()
            return
        killed = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        try:
            self.end(RunStatus.KILLED if killed else RunStatus.FAILED, error=_message(error))
        except OctavoError as trouble:  # the block's own error is the one to be seen
            log.error("the end of run %s: %s", self.id, trouble.message)

    def _leave(self) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # ended from another thread or task than it was begun in
                ACTIVE.reset(self._token)
            self._token = None

    def _send(self, batch: Batch) -> None:
        self._usable()
        self._outbox.add(batch)

    def _usable(self) -> None:
        if self._ended:
            raise Conflict(f"run {self.id} has ended here; begin another", run=self.id)
        if self._pid != os.getpid():
            raise Conflict(
                f"run {self.id} was begun by another process; begin one here: octavo.run(name, parent={self.id!r})",
                run=self.id,
            )

    def _kept(
        self,
        batch: Batch,
        artifacts: list[tuple[str, bytes]],
        status: RunStatus,
        error: str,
        at: datetime,
        why: Unavailable,
    ) -> Unavailable:
        """Keep what could not be delivered in a folder of its own."""
        if self._leftover is None:
            return Unavailable(f"the end of run {self.id} could not be recorded: {why.message}")
        folder = self._leftover / f"octavo-run-{self.id}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in artifacts:
            place = folder / "artifacts" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        left = {
            "run": self.id,
            "params": batch.params,
            "tags": batch.tags,
            "points": [
                {"name": p.name, "value": str(p.value), "step": p.step, "at": p.at.isoformat()} for p in batch.points
            ],
            "end": {"status": status.value, "error": error, "finished_at": at.isoformat()},
        }
        (folder / "run.json").write_text(json.dumps(left), encoding="utf-8")
        return Unavailable(
            f"run {self.id} could not be reached to deliver the last of what it logged ({why.message}); it is kept in "
            f"{folder}. Deliver it later: octavo runs deliver {folder}"
        )


def as_texts(values: Mapping[str, object]) -> dict[str, str]:
    """Parameters or tags as they are kept."""
    return {name: value if isinstance(value, str) else str(value) for name, value in values.items()}


def _measured(name: str, value: object, *, step: int, at: datetime) -> Measured:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever is a number, such as NumPy's
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"metrics.{name} is no number but {type(value).__name__}", field=f"metrics.{name}", fix="log a number"
        ) from error
    return Measured(name=name, value=number, step=step, at=at)


def _message(error: BaseException) -> str:
    text = error.message if isinstance(error, OctavoError) else f"{type(error).__name__}: {error}"
    return text[: names.MOST_ERROR]
