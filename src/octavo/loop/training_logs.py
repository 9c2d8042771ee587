"""What trainings write: kept with their runs, whether they end well, badly or suddenly."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from octavo.errors import OctavoError
from octavo.operations import Context
from octavo.stores.redaction import Redaction
from octavo.training.runs import Run
from octavo.training.tracking.recording import with_log

log = logging.getLogger(__name__)

MOST_LOG_BYTES = 2_000_000
_FROM_THE_START = 200_000
_FORMAT = "%(levelname)s %(name)s: %(message)s"


def log_file(home: Path, run_id: str) -> Path:
    """Where the process of a training writes to until its end."""
    return home / "logs" / "trainings" / f"{run_id}.log"


def redirect(home: Path, run_id: str) -> None:
    """Have this process write to the training's file from now on, also what is written by libraries in C."""
    file = log_file(home, run_id)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


@contextlib.contextmanager
def overheard(context: Context, run_id: str) -> Iterator[None]:
    """Keep what is printed and logged within the block with a run, besides where it goes anyway."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(logging.Formatter(_FORMAT))
    before = sys.stdout
    logging.getLogger().addHandler(handler)
    sys.stdout = _Both(before, heard)
    try:
        yield
    finally:
        sys.stdout = before
        logging.getLogger().removeHandler(handler)
        keep_log(context, run_id, heard.getvalue().encode())


def keep_log_file(context: Context, run_id: str) -> None:
    """Keep with a run what its process wrote; nothing if it wrote nothing, or that is kept already."""
    file = log_file(context.config.home, run_id)
    try:
        with file.open("rb") as opened:
            written = _bounded(opened.read(_FROM_THE_START), opened, size=os.fstat(opened.fileno()).st_size)
    except FileNotFoundError:
        return
    if keep_log(context, run_id, written):
        file.unlink(missing_ok=True)


def keep_log(context: Context, run_id: str, written: bytes) -> bool:
    """Keep what was written with a run, without the project's secrets; whether that went well.

    How a training ended does not depend on it.
    """
    if not written:
        return True
    text = Redaction.of(context.config).data(_shortened(written))
    try:
        with context.transaction() as tx:
            run = tx.get(Run, run_id)
            if run is not None:
                tx.put(with_log(run, text, context.stores.artifacts))
    except OctavoError as error:
        log.warning("what run %s wrote could not be kept: %s", run_id, error.message)
        return False
    return True


def _bounded(start: bytes, file: io.BufferedReader, *, size: int) -> bytes:
    """A file's beginning and its end, which tells how a process died, however much lies between."""
    rest = MOST_LOG_BYTES - _FROM_THE_START
    if size <= MOST_LOG_BYTES:
        return start + file.read(rest)
    file.seek(size - rest)
    return start + _gap(size - MOST_LOG_BYTES) + file.read(rest)


def _shortened(written: bytes) -> bytes:
    left_out = len(written) - MOST_LOG_BYTES - 100
    if left_out <= 0:
        return written
    return written[:_FROM_THE_START] + _gap(left_out) + written[_FROM_THE_START - MOST_LOG_BYTES :]


def _gap(size: int) -> bytes:
    return f"\n… {size:,} bytes are left out …\n".encode()


class _Both(io.TextIOBase):
    """Writes to two streams."""

    def __init__(self, one: TextIO, other: TextIO) -> None:
        self._one, self._other = one, other

    def write(self, text: str) -> int:
        self._other.write(text)
        return self._one.write(text)

    def flush(self) -> None:
        self._one.flush()

    def isatty(self) -> bool:
        return self._one.isatty()

    def fileno(self) -> int:
        return self._one.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property of the stream that people see
        return self._one.encoding
