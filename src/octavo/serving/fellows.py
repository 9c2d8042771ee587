"""The workers of one predictor: processes that share its port, and what each keeps for itself.

Each worker has its own log, status and counters on disk, so that none waits for another; whichever is asked tells of
all. What they share is on disk too and never changes: manifests and bundles, whose files the kernel holds in memory
once. What a runtime makes of a bundle in memory is each worker's own.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from octavo.config import PredictorSettings
from octavo.errors import ConfigurationError
from octavo.serving.metrics import Family, PredictorMetrics, together
from octavo.serving.status import PredictorStatus, write_atomically

VARIABLE = "OCTAVO_PREDICTOR_WORKER"
"""Says to a worker's process, as ``1/4``, which of how many it is."""

_LOG, _STATUS, _METRICS = "log", "status", "metrics"
_WRITE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Which of a predictor's workers a process is; the only one by default."""

    number: int = 0
    count: int = 1

    @property
    def process(self) -> str:
        """The name under which its process is announced."""
        return f"predictor-{self.number}" if self.count > 1 else "predictor"

    def log_folder(self, home: Path) -> Path:
        """Where it keeps its records of predictions."""
        return home / "predictor" / _named(_LOG, self.number)

    def status_file(self, home: Path) -> Path:
        """Where it says what it serves."""
        return home / "predictor" / f"{_named(_STATUS, self.number)}.json"

    def metrics_file(self, home: Path) -> Path:
        """Where it says what it has counted."""
        return home / "predictor" / f"{_named(_METRICS, self.number)}.msgpack"


def worker_here(environment: Mapping[str, str] | None = None) -> Worker | None:
    """Which worker this process was started as; None if as none."""
    stated = (os.environ if environment is None else environment).get(VARIABLE)
    if stated is None:
        return None
    number, _, count = stated.partition("/")
    return Worker(number=int(number), count=int(count))


def worker_count(settings: PredictorSettings) -> int:
    """How many workers the settings ask for.

    Raises
    ------
    ConfigurationError
        If they ask for fewer than one.
    """
    wanted = len(os.sched_getaffinity(0)) if settings.workers == "cores" else settings.workers
    if wanted < 1:
        raise ConfigurationError(f'[predictor] workers = {wanted}; one at least is needed, or write workers = "cores"')
    return wanted


def predictor_folder(home: Path) -> Path:
    """Where the logs of all workers are, and what is noted about them."""
    return home / "predictor"


def log_folders(home: Path) -> dict[int, Path]:
    """The logs of all workers that there are or were, by their numbers."""
    found = {0: Worker().log_folder(home)}
    for folder in (home / "predictor").glob(f"{_LOG}-*"):
        _, _, number = folder.name.partition("-")
        if number.isdecimal():
            found[int(number)] = folder
    return dict(sorted(found.items()))


def forget_others(home: Path, *, count: int) -> None:
    """Remove what workers say that are no more; their logs stay until they are shipped, and after."""
    for kind in (_STATUS, _METRICS):
        for path in (home / "predictor").glob(f"{kind}*"):
            number = path.stem.partition("-")[2] or "0"
            if number.isdecimal() and int(number) >= count:
                path.unlink(missing_ok=True)


class Fellows:
    """What the workers of a predictor know of each other.

    Parameters
    ----------
    worker : Worker
        This one.
    home : Path
        The project's platform folder.
    metrics : PredictorMetrics
        Its own.
    """

    def __init__(self, worker: Worker, *, home: Path, metrics: PredictorMetrics) -> None:
        self._worker = worker
        self._home = home
        self._metrics = metrics

    def families(self) -> list[Family]:
        """What all have counted, a second ago at most.

        Its own counts are those that the others see, too: a counter must not fall because another worker is asked.
        """
        if self._worker.count == 1:
            return self._metrics.families()
        found = {}
        for worker in (self._worker, *self._others()):
            try:
                data = worker.metrics_file(self._home).read_bytes()
                found[worker.number] = msgspec.msgpack.decode(data, type=list[Family])
            except (FileNotFoundError, msgspec.MsgspecError):
                continue  # it has not begun to count
        return together(found)

    def status(self, own: PredictorStatus) -> PredictorStatus:
        """What this one says, and beside it the others."""
        said = []
        for other in self._others():
            try:
                said.append(msgspec.json.decode(other.status_file(self._home).read_bytes(), type=PredictorStatus))
            except (FileNotFoundError, msgspec.MsgspecError):
                continue  # it has not looked yet
        return msgspec.structs.replace(own, fellows=tuple(said))

    def watch(self) -> None:
        """Tell the others once a second from now on, in the running loop, what this one has counted."""
        if self._worker.count == 1:
            return
        loop = asyncio.get_running_loop()

        def tell() -> None:
            path = self._worker.metrics_file(self._home)
            write_atomically(path, msgspec.msgpack.encode(self._metrics.families()), sync=False)
            loop.call_later(_WRITE_EVERY_S, tell)

        loop.call_soon(tell)

    def _others(self) -> Iterator[Worker]:
        count = self._worker.count
        return (Worker(number=n, count=count) for n in range(count) if n != self._worker.number)


def _named(kind: str, number: int) -> str:
    return f"{kind}-{number}" if number else kind
