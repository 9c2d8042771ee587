"""What the process of a pickle does. The only place in Octavo where a pickle is opened."""

import os
import pickle
import socket
import sys
from types import ModuleType
from typing import Any, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.registry.jail.messages import ANSWERED, FAILED, LONGEST_REASON, SHAPE, Begin, Ready, receive, send
from octavo.registry.jail.walls import build, end_with_parent

_LONGEST_QUESTION = 1 << 31


def main(descriptor: int, beginning: int, lifeline: int) -> NoReturn:
    """Build the walls, open the pickle, and answer until the other side closes the connection."""
    code = 1
    try:
        end_with_parent(lifeline)
        os.umask(0o077)
        with os.fdopen(beginning, "rb") as file:
            begin = msgspec.msgpack.decode(file.read(), type=Begin)
        connection = socket.socket(fileno=descriptor)
        code = _run(connection, begin)
    finally:
        os._exit(code)


def _run(connection: socket.socket, begin: Begin) -> int:
    walls = build(memory_bytes=begin.memory_bytes, hidden=begin.hidden, leave=connection.close)
    try:
        model = _opened(begin)
    except BaseException as error:  # it is code, which may do anything; this is its process
        reason = f"it raised {type(error).__name__}: {error}"[:LONGEST_REASON]
        send(connection, msgspec.msgpack.encode(Ready(walls=walls, reason=reason)))
        return 1
    send(connection, msgspec.msgpack.encode(Ready(walls=walls)))
    while (question := receive(connection, longest=_LONGEST_QUESTION)) is not None:
        send(connection, _answer(model, begin, question))
    return 0


def _opened(begin: Begin) -> Any:
    for name, source in begin.modules:
        module = ModuleType(name)
        sys.modules[name] = module
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), vars(module))
    model = pickle.loads(begin.data)
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"an {type(model).__name__} has no method predict")
    return model


def _answer(model: Any, begin: Begin, question: bytes) -> bytes:
    n_rows, n_columns = SHAPE.unpack_from(question)
    matrix = np.frombuffer(question, np.float64, offset=SHAPE.size).reshape(n_rows, n_columns).copy()
    try:
        values = _predicted(model, begin, matrix)
        if values.shape != (n_rows,):
            raise ValueError(f"it answered shape {values.shape} for {n_rows} rows")
        return ANSWERED + values.tobytes()
    except BaseException as error:  # as above
        return FAILED + f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:LONGEST_REASON]


def _predicted(model: Any, begin: Begin, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rows: Any = matrix
    if begin.categories:
        from octavo.training.frames import words_of

        words = words_of(begin.columns, begin.categories)
        rows = matrix if words is None else words.frame(matrix, unseen_is_missing=False)
    if begin.is_binary and hasattr(model, "predict_proba"):
        return np.ascontiguousarray(np.asarray(model.predict_proba(rows), dtype=np.float64)[:, -1])
    return np.ascontiguousarray(np.asarray(model.predict(rows), dtype=np.float64))
