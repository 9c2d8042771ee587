"""``python -m octavo.training.steps.child FOLDER LIFELINE`` runs one try of a step in this process."""

import fcntl
import importlib.util
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from octavo.definitions.steps import Step
from octavo.errors import Conflict, IntegrityError, OctavoError
from octavo.stores.names import digest_of
from octavo.training.steps.code import code_of_step
from octavo.training.steps.jobs import JOB, OUTCOME, Ending, Job, Outcome, blob_file, write_new
from octavo.training.steps.values import decode_value, encode_value

_TRACEBACK_LINES = 6


Work: TypeAlias = Callable[[Job, Path], Any]
"""Does a job, and returns the document of what came of it."""


def run_job(folder: Path, work: Work) -> int:
    """Do what the folder asks for, and leave what came of it there; the exit code of the process."""
    job = msgspec.json.decode((folder / JOB).read_bytes(), type=Job)
    if job.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (job.memory_bytes, job.memory_bytes))
    outcome = _outcome(job, folder, work)
    sys.stdout.flush()
    write_new(folder / OUTCOME, msgspec.json.encode(outcome))
    return 0 if outcome.ending is Ending.DONE else 1


def end_with_parent(lifeline: int) -> None:
    """Have the system kill this process and all of its group once the one that started it is gone.

    That one holds the other end of a pipe through which nothing is sent.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform != "linux":
        threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True).start()
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _wait_for_end(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def given_to(job: Job, folder: Path) -> Any:
    """The arguments of a job."""
    return decode_value(job.arguments, fetch=lambda digest: _fetch(folder, digest))


def _run_step(job: Job, folder: Path) -> Any:
    step = _load(job)
    positional, named = given_to(job, folder)
    returned = step.function(*positional, **named)
    return encode_value(returned, keep=lambda data: _keep(folder, data), where=f"what step {step.name!r} returned")


def _outcome(job: Job, folder: Path, work: Work) -> Outcome:
    try:
        return Outcome(ending=Ending.DONE, result=work(job, folder))
    except OctavoError as error:
        return Outcome(ending=Ending.REFUSED, error=error.message)
    except MemoryError:
        return Outcome(ending=Ending.KILLED, error=_out_of_memory(job))
    except Exception as error:  # a user's function may fail in any way; this is a process boundary
        traceback.print_exc()
        frames = traceback.extract_tb(error.__traceback__)[1:]
        lines = "\n".join("".join(traceback.format_list(frames)).splitlines()[-_TRACEBACK_LINES:])
        return Outcome(ending=Ending.RAISED, error=f"raised {type(error).__name__}: {error}\n{lines}")


def _out_of_memory(job: Job) -> str:
    allowed = "" if job.memory_bytes is None else f" than the {job.memory_bytes:,} bytes that it may take"
    return f"needed more memory{allowed}"


def _load(job: Job) -> Step:
    """The step, from a module that is run anew; its code must be what the training knows."""
    sys.path[:] = job.path
    spec = importlib.util.spec_from_file_location(job.module, job.file)
    if spec is None or spec.loader is None:
        raise IntegrityError(f"{job.file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[job.module] = module
    spec.loader.exec_module(module)
    step: Any = getattr(module, job.name, None)
    if not isinstance(step, Step):
        raise IntegrityError(f"{job.file} has no step {job.name!r}; declare steps at the top of the project's module")
    if code_of_step(step).digest != job.code:
        raise Conflict(
            f"the code of step {job.name!r} changed in {job.file} while the training ran, or the training has changed "
            "a value that it refers to; train again, and give the step what it needs as arguments"
        )
    return step


def _fetch(folder: Path, digest: str) -> bytes:
    data = blob_file(folder, digest).read_bytes()
    if digest_of(data) != digest:
        raise IntegrityError(f"an input of the step is not what it was: {digest}; train again")
    return data


def _keep(folder: Path, data: bytes) -> str:
    digest = digest_of(data)
    path = blob_file(folder, digest)
    if not path.exists():
        write_new(path, data)
    return digest


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    code = run_job(Path(sys.argv[1]), _run_step)
    sys.stderr.flush()
    os._exit(code)  # at once: threads of libraries that still wait have nothing left to do
