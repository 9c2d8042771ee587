"""Asynchronous predictions, worked off: one job at a time in each worker.

Each is answered once and recorded once, whenever the process is killed. While it is answered nothing is recorded; then
its answer and its records are kept in one transaction, and the records appended to the log. Who was killed in between
looks, when started again, which of them the log holds, and appends the others.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from octavo.clock import Clock
from octavo.errors import OctavoError, PredictionFailed, Unavailable
from octavo.serving.fellows import Worker
from octavo.serving.later.answering import Answering, Cancelled, FollowUps, refusal
from octavo.serving.later.holding import held_back
from octavo.serving.later.jobs import Callback, Found, Job, Jobs, Unrecorded
from octavo.serving.later.sending import CallbackSender, pause_s
from octavo.serving.problems import Answer, HttpError
from octavo.serving.recorder import TOPIC

log = logging.getLogger(__name__)

_LOOK_EVERY_S, _EXPIRE_EVERY_S, _AFTER_FAILURE_S = 1.0, 60.0, 5.0
AGAIN_AFTER_S = (1.0, 2.0, 4.0)
"""Pauses before a job is tried again that could not be answered for the moment."""

_CALLBACKS_AT_ONCE, _CALLBACK_HELD_US = 8, 60_000_000

T = TypeVar("T")
P = ParamSpec("P")


class ReadableLog(Protocol):
    """The log of one worker's records: `octavo.stores.log.LocalLog`."""

    def read(self, log: str, *, start: int) -> list[tuple[int, bytes]]:
        """Some payloads from an offset on."""

    def end(self, log: str) -> int:
        """The offset behind the last payload."""


class Records(NamedTuple):
    """Where the records of jobs go.

    Attributes
    ----------
    publish : callable
        Appends payloads to this worker's log.
    kept : callable or None
        Waits until they are on disk; None if nobody waits for that.
    log_of : callable
        The log of a worker, by its number.
    """

    publish: Callable[[str, Sequence[bytes]], int]
    kept: Callable[[], Awaitable[None]] | None
    log_of: Callable[[int], ReadableLog]


class LaterWork:
    """Keeps questions that are answered later, and answers them.

    Parameters
    ----------
    jobs : Jobs
    records : Records
    clock : Clock
        The machine's.
    keep_s : float
        How long an answer is kept.
    worker : Worker
        This one. The first of several also takes on what those began that are no more.

    Attributes
    ----------
    waiting : int
        Jobs that are not answered yet, by any worker; counted by the first once a second.
    """

    def __init__(self, jobs: Jobs, records: Records, *, clock: Clock, keep_s: float, worker: Worker) -> None:
        self._jobs, self._records, self._clock, self._worker = jobs, records, clock, worker
        self._keep_us = int(keep_s * 1e6)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="later")
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.waiting = 0

    async def accept(self, job: Job, *, key: str | None, digest: bytes, callback: str) -> str:
        """See `Jobs.accept`."""
        kept_as = await self._aside(self._jobs.accept, job, key=key, digest=digest, callback=callback)
        self._wake.set()
        return kept_as

    async def find(self, deployment: str, id: str) -> Found | None:
        """See `Jobs.find`."""
        return await self._aside(self._jobs.find, deployment, id, now_us=self._clock.now_us())

    async def cancel(self, id: str) -> bool:
        """See `Jobs.cancel`."""
        return await self._aside(self._jobs.cancel, id)

    def start(self, answering: Answering, sender: CallbackSender) -> None:
        """Answer, and tell of answers, from now on in the running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._answer_all(answering)),
            loop.create_task(self._look_after_all(sender)),
        ]

    def close(self) -> None:
        """Let go of the file; a job that is under way waits again when the predictor starts."""
        self._thread.submit(self._jobs.close)
        self._thread.shutdown()

    async def recover(self) -> None:
        """Finish what this worker, or one that is no more, began before it ended."""
        own = self._worker
        for number in await self._aside(self._jobs.workers):
            if number == own.number or (own.number == 0 and number >= own.count):
                await self._aside(self._jobs.give_up, number)
                for one, recorded in await self._aside(self._left, number):
                    await self._record(one, recorded=recorded)

    async def work_off(self, answering: Answering) -> bool:
        """Answer the job that has waited longest; False if none waits."""
        job = await self._aside(self._jobs.claim, self._worker.number)
        if job is None:
            return False
        with held_back() as records:
            try:
                answer, follow_ups = await self._answer(answering, job, records)
            except Cancelled:
                return True
            except Exception as error:  # the edge of the process: whatever happens, there is an answer
                answer, follow_ups = refusal(error, job), []
                if not isinstance(error, PredictionFailed):
                    records.clear()
        await self._keep(job, answer, records, follow_ups)
        return True

    async def _answer(self, answering: Answering, job: Job, records: list[bytes]) -> tuple[Answer, FollowUps]:
        """The answer to a job; what is out of reach for a moment is tried again, since nobody waits for it."""
        is_wanted = partial(self._aside, self._jobs.is_wanted, job.id)
        for pause in AGAIN_AFTER_S:
            try:
                return await answering.answer(job, is_wanted=is_wanted)
            except Unavailable as error:
                log.warning("an asynchronous prediction is tried again", extra={"job": job.id, "reason": error.message})
                records.clear()
            await asyncio.sleep(pause)
        return await answering.answer(job, is_wanted=is_wanted)

    async def tell(self, sender: CallbackSender) -> None:
        """Make the callbacks that are due."""
        now_us = self._clock.now_us()
        due = await self._aside(
            self._jobs.due, now_us=now_us, next_us=now_us + _CALLBACK_HELD_US, most=_CALLBACKS_AT_ONCE
        )
        await asyncio.gather(*(self._tell(sender, one) for one in due))

    async def _tell(self, sender: CallbackSender, callback: Callback) -> None:
        again_us = None
        if not await sender.send(callback):
            again_us = self._clock.now_us() + pause_s(callback.tries) * 1_000_000
            if again_us >= callback.expires_us:
                log.error("a callback is given up", extra={"job": callback.id, "tries": callback.tries})
                again_us = None
        await self._aside(self._jobs.called, callback.id, again_us=again_us)

    async def _keep(self, job: Job, answer: Answer, records: list[bytes], follow_ups: FollowUps) -> None:
        """Keep an answer with its records, then bring these into the log."""
        log_end = await self._aside(self._end)
        if not await self._aside(self._jobs.answered, job.id, answer, records=records, log_end=log_end):
            return
        await self._record(Unrecorded(id=job.id, log_end=log_end, records=records), recorded=())
        for follow_up in follow_ups:
            try:
                follow_up()
            except Exception:  # the edge of the process: a shadow never costs anything but itself
                log.exception("a shadow version failed")

    async def _record(self, one: Unrecorded, *, recorded: Collection[bytes]) -> None:
        for payload in one.records:
            if payload not in recorded:
                self._records.publish(TOPIC, [payload])
        if self._records.kept is not None:
            await self._records.kept()
        now_us = self._clock.now_us()
        await self._aside(self._jobs.recorded, one.id, now_us=now_us, expires_us=now_us + self._keep_us)

    def _end(self) -> int:
        return self._records.log_of(self._worker.number).end(TOPIC)

    def _left(self, number: int) -> list[tuple[Unrecorded, set[bytes]]]:
        """Records that a worker may not have appended, and what its log has held since."""
        return [(one, set(self._since(number, one.log_end))) for one in self._jobs.unrecorded(number)]

    def _since(self, number: int, start: int) -> Iterator[bytes]:
        log_of_worker = self._records.log_of(number)
        while found := log_of_worker.read(TOPIC, start=start):
            yield from (payload for _, payload in found)
            start = found[-1][0] + 1

    async def _answer_all(self, answering: Answering) -> None:
        is_sound = False
        while True:
            self._wake.clear()
            with _going_on() as failed:
                if not is_sound:
                    await self.recover()
                while not answering.is_over and await self.work_off(answering):
                    await answering.give_way()
            is_sound = not failed
            await self._pause(_LOOK_EVERY_S if is_sound else _AFTER_FAILURE_S)

    async def _look_after_all(self, sender: CallbackSender) -> None:
        expire_at_s = 0.0
        while True:
            with _going_on() as failed:
                await self.tell(sender)
                if self._worker.number == 0:
                    self.waiting = await self._aside(self._jobs.count_waiting)
                if self._worker.number == 0 and time.monotonic() >= expire_at_s:
                    expire_at_s = time.monotonic() + _EXPIRE_EVERY_S
                    await self._aside(self._jobs.expire, now_us=self._clock.now_us())
            await asyncio.sleep(_AFTER_FAILURE_S if failed else _LOOK_EVERY_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _aside(self, step: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Done in the one thread that waits for the disk, so that the loop does not."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(step, *args, **more))


@contextmanager
def _going_on() -> Iterator[list[Exception]]:
    """What fails is logged and told, and ends nothing."""
    failed: list[Exception] = []
    try:
        yield failed
    except (OctavoError, HttpError) as error:
        log.error("asynchronous predictions wait", extra={"reason": str(error)})
        failed.append(error)
    except Exception as error:  # the edge of the process
        log.exception("asynchronous predictions wait")
        failed.append(error)
