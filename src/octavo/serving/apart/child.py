"""What the process of some functions does: it loads their code, and answers one question after the other."""

import fcntl
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
import numpy.typing as npt

from octavo.definitions.answers import AfterModel
from octavo.definitions.features import OnDemand
from octavo.definitions.order import in_order
from octavo.errors import IntegrityError, OctavoError
from octavo.features.answers import answer_of
from octavo.features.functions import compute
from octavo.registry.modules import answers_in, find_answer, functions_in, load_module
from octavo.serving.apart.messages import AFTER, ALL, FAILED_TO_LOAD, LENGTH, Ask, Begin, Told, framed, taken

OUT_OF_MEMORY = 77
"""How a process ends that needs more than it may have: the next one begins with an empty heap."""

_AT_ONCE = 65_536


def main(descriptor: int, lifeline: int, beginning: int) -> NoReturn:
    """Answer questions until the other side closes the connection.

    It ends at once, with the connection still open: the predictor then reads how it ended, and no more code runs.
    """
    code = 1
    try:
        _end_with_parent(lifeline)
        os.umask(0o077)
        os.set_inheritable(descriptor, False)
        with os.fdopen(beginning, "rb") as file:
            begin = msgspec.msgpack.decode(file.read(), type=Begin)
        code = _run(socket.socket(fileno=descriptor), begin)
    except SystemExit as told:
        code = told.code if isinstance(told.code, int) else 1
    finally:
        os._exit(code)


def _run(connection: socket.socket, begin: Begin) -> int:
    messages = _Messages(connection)
    _limit(memory_bytes=begin.memory_bytes)
    try:
        functions, after = _load(begin)
    except BaseException as error:  # a user's module may do anything; this is its process
        if _lacks_memory(error):
            return OUT_OF_MEMORY
        reason = error.message if isinstance(error, OctavoError) else f"it raised {type(error).__name__}: {error}"
        connection.sendall(framed(Told.failed(FAILED_TO_LOAD, reason)))
        return 1
    answers = _Answers(begin, functions, after)
    decoder = msgspec.msgpack.Decoder(Ask)
    while (data := messages.next()) is not None:
        ask = decoder.decode(data)
        try:
            told = Told(ask.number, answers.to(ask))
        except OctavoError as error:
            if _lacks_memory(error):
                return OUT_OF_MEMORY
            told = Told.failed(ask.number, error.message, feature=str(error.facts.get("feature", "")))
        connection.sendall(framed(told))
    return 0


class _Answers:
    """What is answered to questions."""

    def __init__(self, begin: Begin, functions: Sequence[OnDemand], after: AfterModel | None) -> None:
        self._begin, self._functions, self._after = begin, functions, after
        self._all = taken(begin.functions)
        self._ordered = in_order(functions) if begin.is_chained else functions

    def to(self, ask: Ask) -> bytes:
        if ask.only == AFTER:
            assert self._after is not None, "the predictor asks for what it named"
            return answer_of(self._after, _columns(self._after.inputs, ask), ask.n_rows).tobytes()
        is_all = ask.only == ALL
        asked = self._functions if is_all else [self._functions[ask.only]]
        names = self._all if is_all else taken(self._begin.functions, ask.only)
        values = compute(self._ordered if is_all else asked, _columns(names, ask), ask.n_rows)
        return b"".join([values[one.name].tobytes() for one in asked])


def _columns(names: Sequence[str], ask: Ask) -> dict[str, npt.NDArray[Any]]:
    return {name: column.array() for name, column in zip(names, ask.columns, strict=True)}


def _load(begin: Begin) -> tuple[list[OnDemand], AfterModel | None]:
    found: dict[str, OnDemand] = {}
    answers: dict[str, AfterModel] = {}
    for name, path, source in begin.modules:
        module = load_module(source, name=name, path=path)
        found |= functions_in(module)
        answers |= answers_in(module)
    if missing := [name for name, _ in begin.functions if name not in found]:
        raise IntegrityError(f"its code lacks the on-demand features {', '.join(missing)}")
    for name, inputs in begin.functions:
        if found[name].inputs != inputs:
            raise IntegrityError(
                f"on-demand feature {name!r} takes {', '.join(found[name].inputs)} in the code, and "
                f"{', '.join(inputs)} in the plan; pack it again"
            )
    after = begin.after
    return (
        [found[name] for name, _ in begin.functions],
        None if after is None else find_answer(answers, name=after[0], inputs=after[1], of="this version"),
    )


class _Messages:
    """Messages off a connection; a small one is read at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def next(self) -> bytes | None:
        """The next message; None if there will be none."""
        read = self._read or self._connection.recv(_AT_ONCE)
        while len(read) < LENGTH.size:
            if not (more := self._connection.recv(_AT_ONCE)):
                return None
            read += more
        end = LENGTH.size + LENGTH.unpack_from(read)[0]
        if len(read) < end:
            read = self._rest(read, end)
        self._read = read[end:]
        return read[LENGTH.size : end]

    def _rest(self, read: bytes, end: int) -> bytes:
        whole = bytearray(end)
        whole[: len(read)] = read
        view, at = memoryview(whole), len(read)
        while at < end:
            n = self._connection.recv_into(view[at:])
            if not n:
                raise EOFError("the predictor is gone")
            at += n
        return bytes(whole)


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)


def _end_with_parent(lifeline: int) -> None:
    """Have the system kill this process once the predictor is gone, whatever it is doing then.

    The predictor holds the other end of a pipe through which nothing is sent. Unlike `PR_SET_PDEATHSIG` this does not
    look at the thread that started the process, which may end long before the predictor does.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform != "linux":
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _limit(*, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is allocated, not addresses: libraries that are mapped, and room that is only reserved, cost nothing.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
