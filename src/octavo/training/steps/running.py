"""Runs the steps that a training calls: each once what it needs is there, several at a time, and none twice."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from octavo.definitions.steps import Pending, Step, run_by
from octavo.errors import IntegrityError, InvalidRequest, TrainingFailed
from octavo.identifiers import new_id
from octavo.operations import Context
from octavo.processes import is_alive
from octavo.stores.names import digest_of, hex_of
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.calls import RESULT_OF, StepCall, attribute_of, job_of, params_of, put_in
from octavo.training.steps.code import code_of_step, environment_digest
from octavo.training.steps.jobs import LOG, Ending, Executor, Outcome, write_new
from octavo.training.steps.processes import LocalProcesses
from octavo.training.steps.results import find_result, keep_result, key_of
from octavo.training.steps.values import decode_value, digest_of_node, encode_value
from octavo.training.tracking.names import RESERVED
from octavo.training.tracking.recording import LOG as LOG_ARTIFACT

log = logging.getLogger(__name__)

STEP, CACHED_FROM, TRIES = "octavo.step", "octavo.cached_from", "octavo.tries"
"""Tags of the runs of steps: of which step, whose result was taken, how often it was tried."""

RESULT = f"{RESERVED}result.json"
"""The artifact of a step's run with what it returned."""

_LONGEST_PAUSE_S, _LONGEST_LOG = 600, 1_000_000


class StepRuns:
    """The steps of one run.

    Parameters
    ----------
    run : Run
        The training; it is the parent of the runs of its steps.
    folder : Path
        Of its own; made if absent.
    at_once : int
        How many steps may run at a time.
    eager : bool
        Whether a step is run as soon as it is called; else once its result is wanted.
    """

    def __init__(
        self, context: Context, run: Run, *, folder: Path, at_once: int, executor: Executor, eager: bool = True
    ) -> None:
        self._context = context
        self._run = run
        self._folder = folder
        self._executor = executor
        self._eager = eager
        self._turns = threading.Semaphore(at_once)
        self._stopped = threading.Event()
        self._recording = threading.Lock()
        self._calls: list[StepCall] = []
        self._threads: dict[int, threading.Thread] = {}

    def submit(self, step: Step, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Pending:
        """See `StepRunner.submit`. Arguments are taken as they are now, whatever becomes of them later."""
        needs: dict[int, Future[Any]] = {}

        def wait_for(pending: Pending) -> Any:
            call = pending._call
            if not isinstance(call, StepCall) or self._calls[call.number : call.number + 1] != [call]:
                raise TrainingFailed(f"step {step.name!r} is given {pending!r}, of another training")
            needs[call.number] = call.result
            return {"is": RESULT_OF, "call": call.number}

        given = encode_value(
            [arguments, dict(named)], keep=self._keep, pending=wait_for, where=f"what step {step.name!r} is given"
        )
        result: Future[Any] = Future()
        call = StepCall(
            number=len(self._calls),
            step=step,
            code=code_of_step(step),
            attribute=attribute_of(step),
            arguments=given,
            needs=needs,
            result=result,
        )
        self._calls.append(call)
        if self._eager:
            self._start(call)
        return Pending(step.name, lambda: self._taken(call), call=call)

    def run(self, number: int) -> None:
        """Run one of the steps that were called, by its number from 0, and those that it needs.

        Raises
        ------
        InvalidRequest
            If there is none of the number.
        TrainingFailed
            If it fails.
        """
        if not 0 <= number < len(self._calls):
            raise InvalidRequest(f"the training has no step {number}; it has {len(self._calls)}", field="step")
        self._taken(self._calls[number])

    def wait(self) -> None:
        """Wait for all steps that were begun, also for those whose results nobody takes.

        Raises
        ------
        TrainingFailed
            If one failed; the others have ended then too.
        """
        begun = [call for call in self._calls if call.number in self._threads]
        failures = [failure for call in begun if (failure := call.result.exception()) is not None]
        if failures:
            raise failures[0]

    def stop(self) -> None:
        """End what still runs, and return when it has ended."""
        self._stopped.set()
        for thread in self._threads.values():
            thread.join()

    def _taken(self, call: StepCall) -> Any:
        self._start(call)
        return decode_value(call.result.result(), fetch=self._fetch)

    def _start(self, call: StepCall) -> None:
        """Begin with a step, after those that it needs; once."""
        if call.number in self._threads:
            return
        for needed in call.needs:
            self._start(self._calls[needed])
        thread = threading.Thread(target=self._carry_out, args=(call,), name=f"step {call.step.name}", daemon=True)
        self._threads[call.number] = thread
        thread.start()

    def _carry_out(self, call: StepCall) -> None:
        try:
            given = put_in(call.arguments, {number: result.result() for number, result in call.needs.items()})
            with self._turns:
                call.result.set_result(self._done(call, given))
        except BaseException as error:  # the training, which waits for it, raises it
            call.result.set_exception(error)

    def _done(self, call: StepCall, given: Any) -> Any:
        """The document of what the step returns: on record, or made now."""
        step, own = call.step, ""
        if not step.cache or call.code.unknown:
            own = f"{self._run.id} {call.number}"
            if step.cache:
                log.warning("step %s is not cached: %s cannot be compared", step.name, ", ".join(call.code.unknown))
        key = key_of(step.name, call.code.digest, digest_of_node(given), environment_digest(), own)
        with self._recording:
            found = find_result(self._context, key, take=self._take)
        if found is not None:
            result, node = found
            if result.parent != self._run.id:
                self._record_cached(call, given, result=result.result, run=result.run)
            self._tell(f"step {step.name}: taken from run {result.run}")
            return node
        return self._made(call, given, key=key)

    def _made(self, call: StepCall, given: Any, *, key: str) -> Any:
        begun = self._new_run(call, given)
        self._record(begun)
        started_s, step = time.perf_counter(), call.step
        self._tell(f"step {step.name}")
        outcome, tries, written = self._tried(call, given)
        ended = replace(
            begun,
            finished_at=self._context.clock.now(),
            seconds=time.perf_counter() - started_s,
            log=written,
            artifacts={LOG_ARTIFACT: written} if written else {},
            tags={**begun.tags, TRIES: str(tries)},
        )
        if outcome.ending is not Ending.DONE:
            status = RunStatus.KILLED if outcome.ending is Ending.STOPPED else RunStatus.FAILED
            self._record(replace(ended, status=status, error=outcome.error))
            how_often = f" (tried {tries} times)" if tries > 1 else ""
            raise TrainingFailed(f"step {step.name!r} {outcome.error}{how_often}")
        with self._recording:
            kept = keep_result(
                self._context, key, outcome.result, step=step.name, run=begun.id, parent=self._run.id, blob=self._fetch
            )
        self._record(replace(ended, status=RunStatus.SUCCEEDED, artifacts={**ended.artifacts, RESULT: kept.result}))
        return outcome.result

    def _tried(self, call: StepCall, given: Any) -> tuple[Outcome, int, str]:
        """What came of it in the end, how many tries that took, and the digest of the last one's log."""
        step, pause_s = call.step, float(call.step.pause_s)
        job = job_of(call, given)
        for tries in range(1, step.retries + 2):
            folder = self._folder / f"{call.number}-{tries}"
            outcome = self._executor.run(job, folder=folder, stopped=self._stopped)
            if outcome.ending not in (Ending.RAISED, Ending.KILLED) or tries > step.retries:
                break
            log.warning("step %s %s; tried again in %g s", step.name, outcome.error.partition("\n")[0], pause_s)
            if self._stopped.wait(pause_s):
                break
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return outcome, tries, self._kept_log(folder)

    def _kept_log(self, folder: Path) -> str:
        try:
            written = (folder / LOG).read_bytes()[-_LONGEST_LOG:]
        except FileNotFoundError:
            return ""
        return self._context.stores.artifacts.put(written) if written else ""

    def _new_run(self, call: StepCall, given: Any) -> Run:
        now = self._context.clock.now()
        return Run(
            id=new_id(self._context.clock),
            model="",
            name=call.step.name,
            experiment=self._run.belongs_to,
            parent=self._run.id,
            status=RunStatus.RUNNING,
            trigger=self._run.trigger,
            as_of=self._run.as_of,
            started_at=now,
            code=call.code.digest,
            params=params_of(call.step, given),
            tags={STEP: call.step.name},
            by=self._run.by,
        )

    def _record_cached(self, call: StepCall, given: Any, *, result: str, run: str) -> None:
        new = self._new_run(call, given)
        self._record(
            replace(
                new,
                status=RunStatus.SUCCEEDED,
                finished_at=new.started_at,
                artifacts={RESULT: result},
                tags={**new.tags, CACHED_FROM: run},
            )
        )

    def _record(self, run: Run) -> None:
        with self._recording, self._context.transaction() as tx:
            tx.put(run)

    def _tell(self, message: str) -> None:
        log.info("run %s: %s", self._run.id, message)

    def _keep(self, data: bytes) -> str:
        digest = digest_of(data)
        self._take(digest, data)
        return digest

    def _take(self, digest: str, data: bytes) -> None:
        if not (path := self._blob(digest)).exists():
            write_new(path, data)

    def _fetch(self, digest: str) -> bytes:
        data = self._blob(digest).read_bytes()
        if digest_of(data) != digest:
            raise IntegrityError(f"what a step left under {digest} is not what its digest says; train again")
        return data

    def _blob(self, digest: str) -> Path:
        return self._folder / "blobs" / hex_of(digest)


@contextmanager
def running_steps(
    context: Context,
    run: Run,
    *,
    at_once: int | None = None,
    executor: Executor | None = None,
    eager: bool = True,
) -> Iterator[StepRuns]:
    """Have steps that are called until the block ends run in processes of their own.

    Whatever ends the block, none of them is left running. What the last process that worked on the run left open is
    recorded as killed.
    """
    _record_left_open(context, run)
    scratch = context.config.home / "steps"
    _remove_left_over(scratch)
    folder = scratch / f"{os.getpid()}-{run.id}-{threading.get_ident()}"
    runs = StepRuns(
        context,
        run,
        folder=folder,
        at_once=at_once or steps_at_once(context),
        executor=executor or LocalProcesses(),
        eager=eager,
    )
    try:
        with run_by(runs):
            yield runs
    finally:
        runs.stop()
        shutil.rmtree(folder, ignore_errors=True)


def steps_at_once(context: Context) -> int:
    """How many steps the settings allow at a time."""
    allowed = context.config.training.steps_at_once
    return len(os.sched_getaffinity(0)) if allowed == "cores" else max(int(allowed), 1)


def _record_left_open(context: Context, run: Run) -> None:
    with context.transaction() as tx:
        for left in tx.find(Run, parent=run.id, status=RunStatus.RUNNING):
            if STEP in left.tags:
                error = "the process that trained ended before it"
                tx.put(replace(left, status=RunStatus.KILLED, finished_at=context.clock.now(), error=error))


def _remove_left_over(scratch: Path) -> None:
    """Remove the folders of processes that have ended without doing so."""
    for folder in scratch.glob("*-*") if scratch.is_dir() else ():
        pid = folder.name.partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
