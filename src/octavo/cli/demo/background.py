"""The project's processes, running beside the demo as long as it needs them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from octavo.config import Config
from octavo.errors import OctavoError, Unavailable
from octavo.loop.supervisor import RunningProject, run_project

_START_S, _POLL_S = 120.0, 0.2


@contextmanager
def running_project(config: Config) -> Iterator[RunningProject]:
    """Run control, worker and predictor until the block ends; then nothing of them is left.

    Raises
    ------
    OctavoError
        If they cannot be started.
    """
    stop = threading.Event()
    outcome: SimpleQueue[RunningProject | BaseException] = SimpleQueue()

    def supervise() -> None:
        try:
            run_project(config, on_ready=outcome.put, stop=stop)
        except BaseException as error:  # handed to whoever waits
            outcome.put(error)

    thread = threading.Thread(target=supervise, name="supervisor")
    thread.start()
    try:
        yield _awaited(outcome, thread)
    finally:
        stop.set()
        thread.join()


def _awaited(outcome: "SimpleQueue[RunningProject | BaseException]", thread: threading.Thread) -> RunningProject:
    for _ in range(int(_START_S / _POLL_S)):
        try:
            found = outcome.get(timeout=_POLL_S)
        except Empty:
            continue
        if isinstance(found, OctavoError):
            raise found
        if isinstance(found, BaseException):
            raise Unavailable(f"the project could not be started: {found}") from found
        return found
    raise Unavailable(f"the project was not ready within {_START_S:g} s; see .octavo/logs in its folder")
