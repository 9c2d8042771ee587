"""Keeps the process of some functions running, and asks it: from the event loop, many questions under way at once.

Questions are answered in their order, so there is one deadline to look at, that of the oldest: it counts from when the
process could begin with it. A process that misses it is ended, and so is one that says what is no answer.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from octavo.errors import IntegrityError, PredictionFailed, Unavailable
from octavo.serving.apart.messages import ALL, FAILED_TO_LOAD, Ask, Begin, Column, Told, framed
from octavo.serving.apart.process import Answers, FunctionProcess

_AT_ONCE = 262_144
_LOAD_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _SETTLED_AFTER_S = 0.05, 10.0, 30.0
_LOOK_AGAIN_S, _END_S = 0.002, 1.0
_REASON_BYTES = 16_384

_told = msgspec.msgpack.Decoder(Told).decode


class _Waiting(NamedTuple):
    """A question under way; the warm-up has no future."""

    number: int
    future: "asyncio.Future[bytes] | None"
    size_bytes: int
    allowed_s: float


@dataclass(slots=True, kw_only=True)
class Counts:
    """What happened to the processes of some functions.

    Attributes
    ----------
    restarts, timeouts : int
        How often one was started again, and how many of those had not answered in time.
    """

    restarts: int = 0
    timeouts: int = 0


@dataclass(slots=True, kw_only=True)
class _Pause:
    """How long to wait before the next start: longer with each end, unless one had lasted."""

    next_s: float = _FIRST_PAUSE_S
    began_s: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        self.began_s = time.monotonic()

    def end(self) -> float:
        if time.monotonic() - self.began_s > _SETTLED_AFTER_S:
            self.next_s = _FIRST_PAUSE_S
        pause_s, self.next_s = self.next_s, min(self.next_s * 2, _LONGEST_PAUSE_S)
        return pause_s


class KeptProcess:
    """A process that runs functions, and the next one when it ends.

    Parameters
    ----------
    begin : Begin
    warm_up : Ask
        What each process is asked first, with as much patience as loading code takes; how it is answered is no matter.
    timeout_s : float
        What any other question may take.
    of : str
        Whose functions they are, for those who read errors.
    """

    def __init__(self, begin: Begin, warm_up: Ask, *, timeout_s: float, of: str) -> None:
        self.counts = Counts()
        self._begin, self._warm_up, self._timeout_s, self._of = begin, warm_up, timeout_s, of
        self._n_functions = len(begin.functions)
        self._process: FunctionProcess | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ready = self._is_retired = self._is_watching = False
        self._reason = ""
        self._pause = _Pause()
        self._waiting: deque[_Waiting] = deque()
        self._answers, self._unsent = Answers(), bytearray()
        self._number, self._longest, self._since_s, self._delayed_s = 0, _REASON_BYTES, 0.0, 0.0

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def pause_s(self) -> float:
        """How long it stays away the next time that it ends."""
        return self._pause.next_s

    @property
    def resident_bytes(self) -> int:
        """The memory that the process takes now."""
        return 0 if self._process is None else self._process.resident_bytes()

    def start(self) -> None:
        """Start the first process and wait until its code is loaded, outside of any loop.

        Raises
        ------
        IntegrityError
            If the code does not load, or takes the process down.
        """
        self._process = FunctionProcess(self._begin, self._warm_up)
        self._pause.begin()
        try:
            told = _first_answer(self._process, until_s=time.monotonic() + _LOAD_S)
            if told.number == FAILED_TO_LOAD:
                raise _Unusable(told.reason)
        except _Unusable as error:
            self._process.wait()
            raise IntegrityError(f"the code of {self._of} cannot be used: {error}") from None
        self._is_ready = True

    def ask_first(self, ask: Ask) -> bytes:
        """Ask the first process, outside of any loop and before anybody else does.

        Raises
        ------
        IntegrityError
            If it gives no answer.
        """
        assert self._process is not None, "it was started"
        connection = self._process.connection
        connection.settimeout(_LOAD_S)
        try:
            connection.sendall(framed(ask))
            told = _first_answer(self._process, until_s=time.monotonic() + _LOAD_S)
            if told.reason:
                raise _Unusable(told.reason)
        except (_Unusable, OSError) as error:
            raise IntegrityError(f"the code of {self._of} cannot be used: {error}") from None
        return told.values

    def ask(self, n_rows: int, columns: list[Column], *, only: int = ALL) -> "asyncio.Future[bytes]":
        """Ask from a running loop.

        Returns
        -------
        Future of bytes
            float64, shape (n_functions, n_rows); PredictionFailed if a function fails, Unavailable if its process does.

        Raises
        ------
        Unavailable
            If there is no process that could be asked.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._attach(loop)
        if not self._is_ready:
            raise self._failure("are not there now, because their process", self._reason)
        self._number += 1
        future: asyncio.Future[bytes] = loop.create_future()
        asked = Ask(self._number, only, n_rows, columns)
        self._wait_for(asked, future, allowed_s=self._timeout_s)
        self._send(framed(asked))
        return future

    def retire(self) -> None:
        """End the process for good; from any thread, once nobody will ask again."""
        self._is_retired = True
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end)
                return
        except RuntimeError:  # the loop is closed
            self._loop = None
        self._end()

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._is_watching = loop, False
        if self._is_ready and self._process is not None:
            loop.add_reader(self._process.connection, self._readable)
        else:  # it ended while another loop ran, which would have started it again
            self._restart()

    def _wait_for(self, asked: Ask, future: "asyncio.Future[bytes] | None", *, allowed_s: float) -> None:
        assert self._loop is not None
        n_functions = self._n_functions if asked.only == ALL else 1
        waiting = _Waiting(asked.number, future, asked.n_rows * 8 * n_functions, allowed_s)
        if not self._waiting:
            self._since_s = self._loop.time()
        self._waiting.append(waiting)
        self._longest = max(self._longest, waiting.size_bytes + _REASON_BYTES)
        if not self._is_watching:
            self._watch_after(allowed_s)

    def _watch_after(self, pause_s: float) -> None:
        assert self._loop is not None
        assert self._process is not None
        self._is_watching = True
        self._delayed_s = self._process.delayed_s()
        self._loop.call_later(pause_s, self._watch, self._process)

    def _watch(self, process: FunctionProcess) -> None:
        """Look whether the oldest question is overdue; one timer does for all, and none while nobody waits.

        Time in which the machine had no core for the process is not counted against it.
        """
        assert self._loop is not None
        if process is not self._process:  # that one is gone, and the next one's timer runs
            return
        self._readable()  # the answer may lie there, while this process had no time for it
        if process is not self._process:
            return
        self._is_watching = False
        if not self._waiting:
            return
        now_s, allowed_s = self._loop.time(), self._waiting[0].allowed_s
        self._since_s = min(self._since_s + process.delayed_s() - self._delayed_s, now_s)
        left_s = self._since_s + allowed_s - now_s
        if left_s > 0:
            self._watch_after(left_s)
            return
        self.counts.timeouts += 1
        self._died(f"gave no answer within {allowed_s * 1000:g} ms ([predictor] code_timeout_ms)")

    def _send(self, data: bytes) -> None:
        assert self._loop is not None
        assert self._process is not None
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._process.connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # it is gone; the reader hears of it
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._process.connection, self._writable)

    def _writable(self) -> None:
        assert self._loop is not None
        assert self._process is not None
        try:
            del self._unsent[: self._process.connection.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
        if not self._unsent:
            self._loop.remove_writer(self._process.connection)

    def _readable(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            data = process.connection.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        try:
            for answer in self._answers.feed(data, longest=self._longest):
                self._take(_told(answer))
        except (ValueError, IndexError):  # also what msgspec says of what it cannot decode
            self._died("said what is no answer")

    def _take(self, told: Told) -> None:
        assert self._loop is not None
        if told.number == FAILED_TO_LOAD:
            self._died(f"could not load its code again: {told.reason}")
            return
        number, future, size_bytes, _ = self._waiting[0]
        if told.number != number or (len(told.values) != size_bytes and not told.reason):
            raise ValueError("out of order")
        self._waiting.popleft()
        self._since_s = self._loop.time()
        if future is None:
            self._is_ready = True
        elif not future.done():
            if told.reason:
                future.set_exception(PredictionFailed(told.reason, feature=told.feature))
            else:
                future.set_result(told.values)

    def _ended(self) -> None:
        """It closed the connection: how did it end?"""
        process = self._let_go()
        if process is not None and self._loop is not None:
            self._look_for_end(process, until_s=self._loop.time() + _END_S)

    def _look_for_end(self, process: FunctionProcess, *, until_s: float) -> None:
        assert self._loop is not None
        reason = process.ended()
        if reason is None:
            if self._loop.time() > until_s:  # sooner it would be the reason itself
                process.kill()
            self._loop.call_later(_LOOK_AGAIN_S, partial(self._look_for_end, process, until_s=until_s))
            return
        process.kill()
        self._fail(reason)

    def _died(self, reason: str) -> None:
        """End it, and fail what waits for it."""
        process = self._let_go()
        if process is not None:
            process.kill()
            self._bury(process)
        self._fail(reason)

    def _let_go(self) -> FunctionProcess | None:
        process, self._process, self._is_ready = self._process, None, False
        if process is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(process.connection)
            self._loop.remove_writer(process.connection)
        return process

    def _bury(self, process: FunctionProcess) -> None:
        """Take note of its end, which may take a moment if it had much memory."""
        if self._loop is None:
            process.wait()
        elif process.ended() is None:
            self._loop.call_later(_LOOK_AGAIN_S, self._bury, process)

    def _fail(self, reason: str) -> None:
        assert self._loop is not None
        self._reason = reason
        failed, self._waiting = self._waiting, deque()
        self._unsent.clear()
        self._answers = Answers()
        for _, future, _, _ in failed:
            if future is not None and not future.done():
                future.set_exception(self._failure("failed: their process", reason))
        if not self._is_retired:
            self._loop.call_later(self._pause.end(), self._restart)

    def _failure(self, what: str, reason: str) -> Unavailable:
        return Unavailable(f"the functions of {self._of} {what} {reason}; it is started again")

    def _restart(self) -> None:
        if self._is_retired or self._process is not None or self._loop is None:
            return
        self.counts.restarts += 1
        self._pause.begin()
        try:
            self._process = FunctionProcess(self._begin, self._warm_up)
        except OSError as error:
            self._fail(f"could not be started: {error}")
            return
        self._is_watching = False
        self._loop.add_reader(self._process.connection, self._readable)
        self._wait_for(self._warm_up, None, allowed_s=_LOAD_S)

    def _end(self) -> None:
        process = self._let_go()
        if process is not None:
            process.kill()
            self._bury(process)


class _Unusable(Exception):
    """What is wrong with some code."""


def _first_answer(process: FunctionProcess, *, until_s: float) -> Told:
    answers = Answers()
    while True:
        process.connection.settimeout(max(until_s - time.monotonic(), 0.001))
        try:
            data = process.connection.recv(_AT_ONCE)
        except TimeoutError:
            raise _Unusable(f"its process was not ready within {_LOAD_S:g} s") from None
        except OSError:
            data = b""
        if not data:
            raise _Unusable(f"its process {process.wait(patience_s=_END_S)}")
        try:
            if found := answers.feed(data, longest=_REASON_BYTES):
                process.connection.setblocking(False)
                return _told(found[0])
        except ValueError:
            raise _Unusable("its process said what is no answer") from None
