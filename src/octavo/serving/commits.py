"""Acknowledgements that wait for the disk together: while one flush goes on, all who come meanwhile share the next."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from octavo.errors import OctavoError
from octavo.serving.problems import HttpError
from octavo.stores.log import LocalLog


class GroupCommit:
    """Has a log flushed in a thread of its own, so that the event loop never waits for the disk.

    Parameters
    ----------
    flush : callable
        Makes all that was appended before the call survive a crash of the machine; may take its time.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._group: asyncio.Future[None] | None = None
        self._is_flushing = False

    async def kept(self) -> None:
        """Wait until all that was appended before this call survives a crash of the machine.

        Raises
        ------
        OctavoError
            What the flush raised; nothing is known to be kept then.
        """
        loop = asyncio.get_running_loop()
        if self._group is None:
            self._group = loop.create_future()
            if not self._is_flushing:
                self._is_flushing = True
                loop.call_soon(self._begin, loop)  # once all that is answered in this turn has been appended
        await asyncio.shield(self._group)

    def close(self) -> None:
        """End the thread, after the flush that it is at."""
        self._thread.shutdown()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._group = self._group, None
        self._is_flushing = group is not None
        if group is not None:
            loop.run_in_executor(self._thread, self._flush).add_done_callback(lambda done: self._end(group, done))

    def _end(self, group: asyncio.Future[None], flushed: asyncio.Future[None]) -> None:
        error = flushed.exception()
        if error is None:
            group.set_result(None)
        else:
            group.set_exception(error)
            group.exception()  # whoever waited may have been cancelled; then nobody is left to hear of it
        self._begin(group.get_loop())


class DurableLog:
    """A log whose payloads are on disk before what they record is answered.

    Parameters
    ----------
    log : LocalLog
        Opened with ``sync``.
    topic : str
        The one that is written.
    """

    def __init__(self, log: LocalLog, *, topic: str) -> None:
        self._log = log
        self._end = 0
        self._commits = GroupCommit(lambda: log.flush(topic, self._end))

    def publish(self, topic: str, payloads: Sequence[bytes]) -> int:
        """Append payloads; whoever wants them on disk waits for `kept`.

        Raises
        ------
        HttpError
            503 if the disk refuses them: then nothing may be answered.
        """
        try:
            self._end = self._log.append(topic, payloads)
        except OctavoError as error:
            raise _unkept(error) from error
        return self._end

    async def kept(self) -> None:
        """Wait until all that was published before this call survives a crash of the machine.

        Raises
        ------
        HttpError
            503 if the disk fails: then nothing may be answered.
        """
        try:
            await self._commits.kept()
        except OctavoError as error:
            raise _unkept(error) from error


def _unkept(error: OctavoError) -> HttpError:
    return HttpError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f'the prediction could not be recorded, and [predictor] log = "durable" lets none go without: {error.message}',
        fix="try again in a second; if it lasts, see to the predictor's disk",
        headers=((b"retry-after", b"1"),),
    )
