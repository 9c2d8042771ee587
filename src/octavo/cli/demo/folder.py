"""The folder that a demo lives in: what was written there, how far it came, and how it goes on after an interruption.

Besides the project there is ``.demo`` with a file that tells how far the demo is, its journal, and the lock of the one
process that may run it.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from octavo import __version__
from octavo.access import write_private
from octavo.cli.demo.plan import Plan
from octavo.errors import Conflict, Unavailable
from octavo.processes import CONTROL, PREDICTOR, WORKER, find_running
from octavo.stores.locks import FileLock
from octavo.templates import template_files

TEMPLATE = "trips"
_OLD_PROCESSES_S, _POLL_S = 20.0, 0.05


class Stage(StrEnum):
    """What is done once and then stays."""

    HISTORY = "history"
    FEATURES = "features"
    MODELS = "models"
    REPLAY = "replay"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a demo is.

    Attributes
    ----------
    release : str
        The version of Octavo.
    written : dict of file to digest
        The project's files as the template had them.
    history : int
        Events of the history.
    """

    release: str
    plan: Plan
    written: dict[str, str]
    done: tuple[Stage, ...] = ()
    history: int = 0


class DemoFolder:
    """The folder of one demo; made by `opened`.

    Attributes
    ----------
    path : Path
    origin : str
        How this run begins, in words.
    """

    def __init__(self, path: Path, *, origin: str, progress: Progress) -> None:
        self.path = path
        self.origin = origin
        self._progress = progress

    @property
    def history(self) -> int:
        """Events of the history."""
        return self._progress.history

    @property
    def journal(self) -> Path:
        """Where the replay notes what it has done."""
        return _state(self.path) / "journal.jsonl"

    def is_done(self, stage: Stage) -> bool:
        return stage in self._progress.done

    def finish(self, stage: Stage, *, history: int | None = None) -> None:
        """Note that a stage is done."""
        done = tuple(dict.fromkeys((*self._progress.done, stage)))
        known = self._progress.history if history is None else history
        self._progress = msgspec.structs.replace(self._progress, done=done, history=known)
        _save(self.path, self._progress)


@contextmanager
def opened(path: Path, plan: Plan, *, fresh: bool) -> Iterator[DemoFolder]:
    """Have a folder to oneself, with the project in it.

    A demo that was interrupted goes on if it is of the same plan and release; else it begins anew.

    Raises
    ------
    Conflict
        If a demo runs there, or the folder holds what no demo wrote, or a file that was changed since.
    Unavailable
        If processes of an earlier run do not end.
    """
    lock = FileLock(_state(path) / "lock")
    if path.exists() and not _state(path).exists() and any(path.iterdir()):
        raise Conflict(f"{path} holds something that no demo wrote; name another folder with --folder")
    if not lock.acquire():
        raise Conflict(f"a demo runs in {path} already, under process {lock.holder}; stop it or name another --folder")
    try:
        yield _begin(path, plan, fresh=fresh)
    finally:
        lock.release()


def _begin(path: Path, plan: Plan, *, fresh: bool) -> DemoFolder:
    _wait_for_old_processes(path)
    before = _load(path)
    if before is not None:
        _check_unchanged(path, before)
    reason = _why_anew(before, plan, fresh=fresh)
    if before is not None and not reason:
        return DemoFolder(path, origin="continues where it was interrupted", progress=before)
    _clear(path, before)
    texts = template_files(TEMPLATE, name=TEMPLATE)
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")
    progress = Progress(release=__version__, plan=plan, written={n: _digest(t.encode()) for n, t in texts.items()})
    _save(path, progress)
    return DemoFolder(path, origin=f"starts clean{reason}", progress=progress)


def _wait_for_old_processes(path: Path) -> None:
    """Those of a demo that was killed end by themselves when they see that it is gone."""
    home, deadline_s = path / ".octavo", time.monotonic() + _OLD_PROCESSES_S
    while running := [name for name in (CONTROL, WORKER, PREDICTOR) if find_running(home, name)]:
        if time.monotonic() > deadline_s:
            raise Unavailable(
                f"the {running[0]} process of {path} still runs, perhaps by `octavo up`; stop it, or name another "
                "--folder"
            )
        time.sleep(_POLL_S)


def _check_unchanged(path: Path, before: Progress) -> None:
    """Refuse to go on with, or to write over, what someone has made of the project."""
    for name, digest in before.written.items():
        file = path / name
        if file.exists() and _digest(file.read_bytes()) != digest:
            raise Conflict(
                f"{file} was changed since the demo wrote it. To keep it, run it as a project of its own (octavo up) "
                "or name another --folder; to have the demo anew, remove it"
            )


def _why_anew(before: Progress | None, plan: Plan, *, fresh: bool) -> str:
    """Why a demo does not go on, in words with a colon before them; empty if it does, or if there was none."""
    if before is None:
        return ""
    texts = template_files(TEMPLATE, name=TEMPLATE)
    reasons = (
        (fresh, "as was asked for"),
        (before.release != __version__, f"the last one was of Octavo {before.release}"),
        (before.written != {n: _digest(t.encode()) for n, t in texts.items()}, "the template has changed"),
        (before.plan != plan, "the last one was of other weeks"),
        (Stage.REPLAY in before.done, "the last one ran to its end"),
        (Stage.HISTORY not in before.done, "the last one was interrupted while it was being set up"),
    )
    return next((f": {text}" for is_so, text in reasons if is_so), "")


def _clear(path: Path, before: Progress | None) -> None:
    """Remove what a demo wrote, and nothing else."""
    shutil.rmtree(path / ".octavo", ignore_errors=True)
    for name in before.written if before else ():
        (path / name).unlink(missing_ok=True)
    for file in (_state(path) / "progress.json", _state(path) / "journal.jsonl"):
        file.unlink(missing_ok=True)


def _load(path: Path) -> Progress | None:
    try:
        return msgspec.json.decode((_state(path) / "progress.json").read_bytes(), type=Progress)
    except (OSError, msgspec.DecodeError):
        return None


def _save(path: Path, progress: Progress) -> None:
    write_private(_state(path) / "progress.json", msgspec.json.encode(progress))


def _state(path: Path) -> Path:
    return path / ".demo"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
