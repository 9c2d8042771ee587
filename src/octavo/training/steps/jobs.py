"""One try of a step, as it is given to whatever runs it, and what came of it."""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from octavo.errors import IntegrityError
from octavo.stores.names import hex_of

JOB, OUTCOME, LOG = "job.json", "outcome.json", "log.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be run.

    Attributes
    ----------
    module, file : str
        The module that declares the step, by name, and its file.
    name : str
        What the step is called in it; of a trial, the model.
    run, root : str
        Of a trial, its run, and the folder of its project.
    arguments : JSON value
        The document of ``[positional, named]``.
    code : str
        Digest of the step's code as the training knows it.
    path : tuple of str
        Where modules are looked for.
    timeout_s, memory_bytes : int or None
        As in `Step`.
    """

    module: str
    file: str
    name: str
    arguments: Any = field(repr=False)
    run: str = ""
    root: str = ""
    code: str = ""
    path: tuple[str, ...] = ()
    timeout_s: int | None = None
    memory_bytes: int | None = None


class Ending(StrEnum):
    """How a try ended."""

    DONE = "done"
    RAISED = "raised"
    REFUSED = "refused"
    """By Octavo: it would not end otherwise at another try."""
    KILLED = "killed"
    """By the system, by the limit of its memory or of its time."""
    STOPPED = "stopped"
    """As nobody wants to know any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a try.

    Attributes
    ----------
    result : JSON value
        The document of what it returned.
    error : str
        Why there is none.
    """

    ending: Ending
    result: Any = None
    error: str = ""


class Executor(Protocol):
    """Runs jobs somewhere.

    Its seam is a folder: `JOB` and ``blobs/`` with the inputs by their digests are there, and it leaves `OUTCOME`,
    `LOG` and more in ``blobs/``.
    """

    def run(self, job: Job, *, folder: Path, stopped: "Stopped") -> Outcome:
        """Run a job to its end; nothing of it is left running when this returns.

        Parameters
        ----------
        folder : Path
            Of this try; ``blobs/`` lies beside it.
        """


class Stopped(Protocol):
    """Whether the result is no longer wanted."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is not, or some seconds have passed."""


def blob_file(folder: Path, digest: str) -> Path:
    """Where a try finds, or leaves, the bytes of a digest."""
    return folder.parent / "blobs" / hex_of(digest)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is seen whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(data)
    scratch.replace(path)


def read_outcome(folder: Path) -> Outcome | None:
    """What a process says came of it; None if it ended without a word.

    Raises
    ------
    IntegrityError
        If it cannot be read.
    """
    try:
        return msgspec.json.decode((folder / OUTCOME).read_bytes(), type=Outcome)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"what a step's process left in {folder} cannot be read: {error}") from error
