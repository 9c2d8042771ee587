"""The hot path: from the bytes of a request to its answer and its records, without knowing of HTTP.

A request is columns: it is looked up in one batched read, turned into one matrix for each way of making it, scored per
version, and recorded in one block per version. A version that fails where another is live does not cost the caller an
answer.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from octavo.clock import Clock
from octavo.definitions.fallbacks import Fallback
from octavo.errors import OctavoError
from octavo.serving.answers import Share, Together
from octavo.serving.asked import Asked, AskedMatrix, AskedRows
from octavo.serving.attempts import (
    Answered,
    AnsweredTogether,
    AnyAnswered,
    Attempt,
    Call,
    Part,
    Request,
    count_failed,
    failure,
    predictions,
)
from octavo.serving.blocks import BlockMaker, Made, Rows
from octavo.serving.ids import IdMaker
from octavo.serving.inputs import Floats, Inputs
from octavo.serving.lineup import Assigned, Lineup, ServedArm, Sole
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.pace import FEWEST, Pace
from octavo.serving.recorder import Recorder
from octavo.serving.shadows import Shadows
from octavo.serving.stopping import constant_of
from octavo.serving.tracing import Trace
from octavo.serving.turns import FEW, Turns, Waiting
from octavo.serving.unread import as_fallback, nothing_known, refusal

log = logging.getLogger(__name__)

_ALL = slice(None)


class Predictor:
    """Answers requests. Not to be shared between threads.

    Parameters
    ----------
    clock : Clock
    recorder : Recorder
    metrics : PredictorMetrics

    Attributes
    ----------
    turns : Turns
        Requests that are to be answered together.
    shadows : Shadows
        What the shadow versions are still to see.
    """

    def __init__(self, *, clock: Clock, recorder: Recorder, metrics: PredictorMetrics) -> None:
        self._clock = clock
        self._recorder = recorder
        self._metrics = metrics
        self._ids, self._blocks, self._pace = IdMaker(), BlockMaker(), Pace()
        self.turns = Turns(self._few)
        self.shadows = Shadows(metrics)

    async def answer(self, lineup: Lineup, call: Call) -> AnyAnswered:
        """Answer one request; a large one lets others pass between its parts.

        Raises
        ------
        InvalidRequest
            If the body is not what the deployment takes.
        PredictionFailed
            If no version gave a finite number for some row, outside of a composite.
        Unavailable
            If features cannot be read, and the deployment does not answer without them.
        Stopped
            If it is stopped, and declares nothing that answers then.
        """
        stopped = constant_of(lineup.manifest) if lineup.manifest.stopped else None
        asked = call.read(lineup, call.body)
        if stopped is not None:
            return self._without_model(self._request(lineup, call, asked), stopped)
        is_usual = lineup.sole is not None and asked.n_rows <= FEW and call.is_plain
        if is_usual and isinstance(asked, AskedRows | AskedMatrix):
            answered = await self._with_others(lineup, call, asked)
            if answered is not None:
                return answered
        return await self._in_parts(self._request(lineup, call, asked))

    def _request(self, lineup: Lineup, call: Call, asked: Asked) -> Request:
        at_us = self._clock.now_us()
        return Request(lineup, call, asked=asked, at_us=at_us, ids=self._ids.make(at_us, asked.n_rows))

    async def _with_others(self, lineup: Lineup, call: Call, asked: AskedRows | AskedMatrix) -> AnsweredTogether | None:
        """The usual answer: of one version that has all to do, to few rows, together with others that wait for theirs.

        None if it fails on any of them, before anything is recorded: `_in_parts` sees to each.
        """
        done: asyncio.Future[AnsweredTogether | None] = asyncio.get_running_loop().create_future()

        def tell(answered: AnsweredTogether | None) -> None:
            if not done.done():  # else its caller is gone
                done.set_result(answered)

        self.turns.add(lineup, Waiting(call, asked, tell))
        return await done

    async def _few(self, lineup: Lineup, waiting: Sequence[Waiting]) -> Together | None:
        """What requests of few rows are answered, once features are looked up for all of them if there are any."""
        assert lineup.sole is not None, "nothing else is gathered"
        builder, at_us = lineup.sole.served.builder, self._clock.now_us()
        asked = _rows_of(waiting)
        try:
            looked_up = await builder.look_up(asked, at_us=at_us)
            inputs = builder.build(asked, looked_up)
        except OctavoError:
            return None
        is_degraded = looked_up is not None and looked_up.degraded
        return self._together(lineup, lineup.sole, waiting, asked, inputs, at_us=at_us, is_degraded=is_degraded)

    def _together(
        self,
        lineup: Lineup,
        sole: Sole,
        waiting: Sequence[Waiting],
        asked: AskedRows | AskedMatrix,
        inputs: Inputs,
        *,
        at_us: int,
        is_degraded: bool = False,
    ) -> Together | None:
        served, deployment = sole.served, lineup.manifest.deployment
        try:
            outputs = self._run(served, inputs.matrix, None)
        except OctavoError:
            return None
        if count_failed(outputs):
            return None
        arm, ids = served.arm, self._ids.make(at_us, asked.n_rows)
        self._metrics.predictions(deployment, arm.model, arm.version, arm.role, made=asked.n_rows)
        block = self._blocks.block(
            asked,
            ids,
            served=served,
            rows=None,
            inputs=inputs,
            outputs=outputs,
            assigned=sole.assigned,
            made=_made(deployment, at_us, waiting),
        )
        kept = self._recorder.record([block])
        share = Share(_ALL, arm.version, arm.role, served.model, served.builder.words, inputs.status, inputs.matrix)
        self._metrics.degraded += is_degraded * len(waiting)
        return Together(deployment, arm.model, ids=ids, values=outputs, share=share, degraded=is_degraded or not kept)

    async def _outputs(self, served: ServedArm, matrix: Floats, steps: Trace | None) -> npt.NDArray[np.float64]:
        if served.model.thread is None:
            return self._run(served, matrix, steps)
        return await asyncio.get_running_loop().run_in_executor(served.model.thread, served.model.run, matrix)

    def _run(self, served: ServedArm, matrix: Floats, steps: Trace | None) -> npt.NDArray[np.float64]:
        began_ns = time.perf_counter_ns()
        outputs = served.model.run(matrix)
        if steps is not None:
            steps.step("model", began_ns)
        if len(matrix) > FEWEST:  # fewer tell nothing of the pace
            self._pace.took(served.model, time.perf_counter_ns() - began_ns, n_rows=len(matrix))
        return outputs

    @staticmethod
    async def _answered(
        served: ServedArm, outputs: npt.NDArray[np.float64], matrix: Floats, steps: Trace | None
    ) -> npt.NDArray[np.float64]:
        began_ns = time.perf_counter_ns()
        answers = await served.model.answer(outputs, matrix)
        if steps is not None:
            steps.step("answer", began_ns)
        return answers

    def _without_model(self, request: Request, constant: Fallback) -> Answered:
        """The answer of a stopped deployment: nothing is looked up, and no code of a version runs."""
        served, n_rows = as_fallback(request.lineup.fallback), request.asked.n_rows
        [part] = request.parts(n_rows)
        inputs = nothing_known(served.builder.plan, n_rows=n_rows)
        attempts = [Attempt(part, served, None, Assigned(), inputs, np.full(n_rows, constant.value), 0)]
        self._record(request, attempts)
        self._metrics.degraded += 1
        return Answered(predictions(request, attempts, degraded=True), request.call.with_values)

    async def _in_parts(self, request: Request) -> Answered:
        """The answer whatever is to be done for it."""
        lineup, call = request.lineup, request.call
        parts, attempts = request.parts(self._pace.rows_at_once(lineup.fallback.model)), list[Attempt]()
        names = [] if lineup.manifest.on_unread == "predict" else await request.lacking()
        if names and lineup.manifest.on_unread == "reject":
            raise refusal(lineup.manifest.deployment, names)
        for part in parts:
            if part.first:
                await asyncio.sleep(0)
            await (self._fall_back(part, attempts) if names else self._score(part, attempts))
        kept = self._record(request, attempts)
        degraded = request.is_degraded
        self._metrics.degraded += degraded
        answer = predictions(request, attempts, degraded=degraded or not kept)
        follow_up = (lambda: self._follow(request, parts)) if lineup.shadows else None
        return Answered(answer=answer, with_values=call.with_values, follow_up=follow_up)

    async def _score(self, part: Part, attempts: list[Attempt]) -> None:
        """One attempt per version; a second one, by the fallback, for rows on which a canary failed."""
        lineup = part.request.lineup
        unit = lineup.unit
        assigned = lineup.assign(part.ids, None if unit is None else part.asked.values(unit))
        if assigned.places is None:
            chosen: list[tuple[ServedArm, Rows]] = [(lineup.answering[assigned.only], None)]
        else:
            places = assigned.places
            chosen = [(lineup.answering[arm], np.flatnonzero(places == arm)) for arm in np.unique(places).tolist()]
        for served, rows in chosen:
            attempt = await self._attempt(part, served, rows, assigned)
            attempts.append(attempt)
            if attempt.n_failed and served is not lineup.fallback:
                attempts.append(await self._attempt(part, lineup.fallback, attempt.failed, assigned))

    async def _fall_back(self, part: Part, attempts: list[Attempt]) -> None:
        """Answer by the constant that the deployment declares."""
        lineup, n_rows = part.request.lineup, part.asked.n_rows
        rule, builder = lineup.manifest.on_unread, lineup.fallback.builder
        assert isinstance(rule, Fallback), "nothing else is left"
        try:
            inputs = await part.inputs(builder)
        except OctavoError:  # of a function, which matters no more
            inputs = nothing_known(builder.plan, n_rows=n_rows)
        served, outputs = as_fallback(lineup.fallback), np.full(n_rows, rule.value)
        attempts.append(Attempt(part, served, None, Assigned(), inputs, outputs, 0))

    async def _attempt(self, part: Part, served: ServedArm, rows: Rows, assigned: Assigned) -> Attempt:
        inputs = None
        try:
            inputs = await part.inputs(served.builder)
            matrix = inputs.matrix if rows is None else inputs.matrix[rows]
            outputs = await self._outputs(served, matrix, part.request.call.steps)
            if served.model.after is not None:
                outputs = await self._answered(served, outputs, matrix, part.request.call.steps)
        except OctavoError as error:
            facts = {"model": served.arm.model, "version": served.arm.version, "arm": served.arm.role}
            log.error("a version failed to predict", extra={**facts, "reason": error.message})
            return failure(part, served, rows, assigned, inputs, error)
        return Attempt(part, served, rows, assigned, inputs, outputs, count_failed(outputs))

    def _follow(self, request: Request, parts: Sequence[Part]) -> None:
        """Have the shadows see what they are to see of a request, part by part."""
        for part in parts:
            seen = [(served, served.sampler.rows(part.ids)) for served in request.lineup.shadows]
            seen = [(served, rows) for served, rows in seen if rows is None or len(rows)]
            if seen:
                n_predictions = sum(part.asked.n_rows if rows is None else len(rows) for _, rows in seen)
                self.shadows.add(partial(self._shadow, request, part, seen), predictions=n_predictions)

    async def _shadow(self, request: Request, part: Part, seen: Sequence[tuple[ServedArm, Rows]]) -> None:
        attempts = []
        for served, rows in seen:
            assigned = Assigned(propensities=served.sampler.share)
            try:
                attempts.append(await self._attempt(part, served, rows, assigned))
            except Exception:  # the edge of the process: a shadow never costs anything but itself
                log.exception("a shadow version failed")
                attempts.append(failure(part, served, rows, assigned))
        self._record(request, attempts)

    def _record(self, request: Request, attempts: Sequence[Attempt]) -> bool:
        call, deployment = request.call, request.lineup.manifest.deployment
        latency_us = (time.perf_counter_ns() - call.arrived_ns) // 1000
        made = Made(deployment, request.at_us, latency_us, call.caller, call.trace)
        for attempt in attempts:
            arm, n_made = attempt.served.arm, len(attempt.outputs)
            self._metrics.predictions(
                deployment, arm.model, arm.version, arm.role, made=n_made, failed=attempt.n_failed
            )
        return self._recorder.record(
            [
                self._blocks.block(
                    attempt.part.asked,
                    attempt.part.ids,
                    served=attempt.served,
                    rows=attempt.rows,
                    inputs=attempt.inputs,
                    outputs=attempt.outputs,
                    assigned=attempt.assigned,
                    made=made,
                    parents=attempt.parents,
                )
                for attempt in attempts
            ]
        )


def _rows_of(waiting: Sequence[Waiting]) -> AskedRows | AskedMatrix:
    """The rows of requests that are all of one kind."""
    if len(waiting) == 1:
        return waiting[0].asked
    matrices = [one.asked.matrix for one in waiting if isinstance(one.asked, AskedMatrix)]
    if matrices:
        return AskedMatrix(np.concatenate(matrices))
    return AskedRows([row for one in waiting if isinstance(one.asked, AskedRows) for row in one.asked.rows])


def _made(deployment: str, at_us: int, waiting: Sequence[Waiting]) -> Made:
    """What is to be recorded of requests that were answered together."""
    now_ns = time.perf_counter_ns()
    if len(waiting) == 1:
        call = waiting[0].call
        return Made(deployment, at_us, (now_ns - call.arrived_ns) // 1000, call.caller, call.trace)
    calls = [one.call for one in waiting for _ in range(one.asked.n_rows)]
    latencies = [(now_ns - call.arrived_ns) // 1000 for call in calls]
    return Made(deployment, at_us, latencies, [call.caller for call in calls], [call.trace for call in calls])
