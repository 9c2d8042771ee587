"""A log that holds back the records of a job until its answer is kept, so that both are there, or neither."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from octavo.serving.recorder import Log

_held: ContextVar[list[bytes] | None] = ContextVar("held", default=None)


class HoldingLog:
    """Appends to another log, except for what is recorded in the course of a job.

    Parameters
    ----------
    log : Log
    """

    def __init__(self, log: Log) -> None:
        self._log = log

    def publish(self, topic: str, payloads: Sequence[bytes]) -> int:
        """Append payloads, or hold them back; 0 then."""
        held = _held.get()
        if held is None:
            return self._log.publish(topic, payloads)
        held += payloads
        return 0


@contextmanager
def held_back() -> Iterator[list[bytes]]:
    """What is recorded in this task meanwhile, instead of in the log."""
    held: list[bytes] = []
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)
