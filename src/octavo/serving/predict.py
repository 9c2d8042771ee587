"""The hot path: from the bytes of a request to its answer and its records, without knowing of HTTP.

A request is columns: it is looked up in one batched read, turned into one matrix for each way of making it, scored per
version, and recorded in one block per version. A version that fails where another is live does not cost the caller an
answer.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.clock import Clock
from octavo.definitions.fallbacks import Fallback
from octavo.errors import OctavoError, PredictionFailed
from octavo.features.values import OnlineValues
from octavo.serving.answers import Predictions, Share, encode_answer
from octavo.serving.asked import Asked
from octavo.serving.blocks import BlockMaker, Made, Rows
from octavo.serving.ids import IdMaker, Ids
from octavo.serving.inputs import InputBuilder, Inputs
from octavo.serving.lineup import Assigned, Lineup, ServedArm
from octavo.serving.lookup import LookedUp
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.pace import Pace
from octavo.serving.reading import Read, read_rows
from octavo.serving.recorder import Recorder
from octavo.serving.shadows import Shadows
from octavo.serving.tracing import Trace
from octavo.serving.unread import as_fallback, lacking, nothing_known, refusal

log = logging.getLogger(__name__)

_ALL = slice(None)


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request.

    Attributes
    ----------
    caller : str
        The principal's name.
    trace : str
        The trace id of W3C trace context; empty if there is none.
    steps : Trace or None
        Is told how long parts of the request took; None if nobody follows it.
    arrived_ns : int
        On the clock of `time.perf_counter_ns`.
    with_values : bool
        Whether the answer shall hold the inputs themselves.
    read : callable
        Reads the body as the door takes it that it came through.
    parents : bytes
        Ids of the composite's predictions that the rows belong to, 16 bytes of each; empty outside of a composite. Such
        a call is answered for those rows for which it can be, with NaN for the others.
    """

    body: bytes
    caller: str
    arrived_ns: int
    trace: str = ""
    steps: Trace | None = None
    with_values: bool = False
    read: Read = read_rows
    parents: bytes = b""


class Answered(NamedTuple):
    """An answer, and what is left to do once it is sent.

    Attributes
    ----------
    with_values : bool
        Whether the inputs themselves were asked for.
    reasons : sequence of str or None
        Of each row, if they were asked for; see `octavo.serving.explaining`.
    follow_up : callable or None
        Lets the shadow versions predict and records what they said.
    """

    answer: Predictions
    with_values: bool = False
    follow_up: Callable[[], None] | None = None
    reasons: Sequence[str] | None = None

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        return encode_answer(self.answer, with_values=self.with_values, reasons=self.reasons)


class _Part:
    """Some rows of a request on their way, and what each recipe made of them."""

    __slots__ = ("asked", "first", "ids", "prepared", "request")

    def __init__(self, request: "_Request", *, asked: Asked, first: int, ids: Ids) -> None:
        self.request, self.asked, self.first, self.ids = request, asked, first, ids
        self.prepared: dict[InputBuilder, Inputs] = {}

    async def inputs(self, builder: InputBuilder) -> Inputs:
        prepared = self.prepared.get(builder)
        if prepared is None:
            looked_up = await self.request.looked_up(builder) if builder.looks_up else None
            if looked_up is not None and self.asked is not self.request.asked:
                looked_up = _some(looked_up, slice(self.first, self.first + self.asked.n_rows))
            prepared = self.prepared[builder] = builder.build(self.asked, looked_up)
        return prepared


class _Request:
    """A request on its way."""

    __slots__ = ("_looked_up", "asked", "at_us", "call", "ids", "is_degraded", "lineup")

    def __init__(self, lineup: Lineup, call: Call, *, asked: Asked, at_us: int, ids: Ids) -> None:
        self.lineup, self.call, self.asked, self.at_us, self.ids = lineup, call, asked, at_us, ids
        self._looked_up: dict[InputBuilder, LookedUp | None] = {}
        self.is_degraded = False

    async def looked_up(self, builder: InputBuilder) -> LookedUp | None:
        """The features of all rows, read once; None if there are none to look up."""
        if builder not in self._looked_up:
            began_ns = time.perf_counter_ns()
            looked_up = await builder.look_up(self.asked, at_us=self.at_us) if self.asked.matrix is None else None
            if self.call.steps is not None:
                self.call.steps.step("lookup", began_ns)
            self._looked_up[builder] = looked_up
            self.is_degraded |= looked_up is not None and looked_up.degraded
        return self._looked_up[builder]

    async def lacking(self) -> list[str]:
        """The inputs that could not be read, of any version that answers, and for which nothing stands in."""
        found: dict[str, None] = {}
        for builder in {served.builder: None for served in self.lineup.answering}:
            if (looked_up := await self.looked_up(builder)) is not None and looked_up.unread:
                found |= dict.fromkeys(lacking(builder.plan, looked_up))
        return list(found)

    def parts(self, at_once: int) -> list[_Part]:
        asked, ids = self.asked, self.ids
        if asked.n_rows <= at_once:
            return [_Part(self, asked=asked, first=0, ids=ids)]
        return [
            _Part(
                self,
                asked=asked.part(first, first + at_once),
                first=first,
                ids=Ids(ids.chosen(slice(first, first + at_once))),
            )
            for first in range(0, asked.n_rows, at_once)
        ]


class _Attempt(NamedTuple):
    """What one version made of some rows of a part; not finite where it failed."""

    part: _Part
    served: ServedArm
    rows: Rows
    assigned: Assigned
    inputs: Inputs | None
    outputs: npt.NDArray[np.float64]
    n_failed: int

    @property
    def failed(self) -> npt.NDArray[np.intp]:
        """The places, within the part, of the rows on which it failed."""
        failed = np.flatnonzero(~np.isfinite(self.outputs))
        return failed if self.rows is None else self.rows[failed]


class Predictor:
    """Answers requests. Not to be shared between threads.

    Parameters
    ----------
    clock : Clock
    recorder : Recorder
    metrics : PredictorMetrics

    Attributes
    ----------
    shadows : Shadows
        What the shadow versions are still to see.
    """

    def __init__(self, *, clock: Clock, recorder: Recorder, metrics: PredictorMetrics) -> None:
        self._clock = clock
        self._recorder = recorder
        self._metrics = metrics
        self._ids, self._blocks, self._pace = IdMaker(), BlockMaker(), Pace()
        self.shadows = Shadows(metrics)

    async def answer(self, lineup: Lineup, call: Call) -> Answered:
        """Answer one request; a large one lets others pass between its parts.

        Raises
        ------
        InvalidRequest
            If the body is not what the deployment takes.
        PredictionFailed
            If no version gave a finite number for some row, outside of a composite.
        Unavailable
            If features cannot be read, and the deployment does not answer without them.
        """
        asked, at_us = call.read(lineup, call.body), self._clock.now_us()
        request = _Request(lineup, call, asked=asked, at_us=at_us, ids=self._ids.make(at_us, asked.n_rows))
        parts, attempts = request.parts(self._pace.rows_at_once(lineup.fallback.model)), list[_Attempt]()
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
        answer = _predictions(request, attempts, degraded=degraded or not kept)
        follow_up = (lambda: self._follow(request, parts)) if lineup.shadows else None
        return Answered(answer=answer, with_values=call.with_values, follow_up=follow_up)

    async def _score(self, part: _Part, attempts: list[_Attempt]) -> None:
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

    async def _fall_back(self, part: _Part, attempts: list[_Attempt]) -> None:
        """Answer by the constant that the deployment declares."""
        lineup, n_rows = part.request.lineup, part.asked.n_rows
        rule, builder = lineup.manifest.on_unread, lineup.fallback.builder
        assert isinstance(rule, Fallback), "nothing else is left"
        try:
            inputs = await part.inputs(builder)
        except OctavoError:  # of a function, which matters no more
            inputs = nothing_known(builder.plan, n_rows=n_rows)
        served, outputs = as_fallback(lineup.fallback), np.full(n_rows, rule.value)
        attempts.append(_Attempt(part, served, None, Assigned(), inputs, outputs, 0))

    async def _attempt(self, part: _Part, served: ServedArm, rows: Rows, assigned: Assigned) -> _Attempt:
        inputs = None
        try:
            inputs = await part.inputs(served.builder)
            matrix = inputs.matrix if rows is None else inputs.matrix[rows]
            began_ns = time.perf_counter_ns()
            outputs = served.model.run(matrix)
            if part.request.call.steps is not None:
                part.request.call.steps.step("model", began_ns)
            self._pace.took(served.model, time.perf_counter_ns() - began_ns, n_rows=len(matrix))
        except OctavoError as error:
            facts = {"model": served.arm.model, "version": served.arm.version, "arm": served.arm.role}
            log.error("a version failed to predict", extra={**facts, "reason": error.message})
            return _failure(part, served, rows, assigned, inputs)
        return _Attempt(part, served, rows, assigned, inputs, outputs, _count_failed(outputs))

    def _follow(self, request: _Request, parts: Sequence[_Part]) -> None:
        """Have the shadows see what they are to see of a request, part by part."""
        for part in parts:
            seen = [(served, served.sampler.rows(part.ids)) for served in request.lineup.shadows]
            seen = [(served, rows) for served, rows in seen if rows is None or len(rows)]
            if seen:
                n_predictions = sum(part.asked.n_rows if rows is None else len(rows) for _, rows in seen)
                self.shadows.add(partial(self._shadow, request, part, seen), predictions=n_predictions)

    async def _shadow(self, request: _Request, part: _Part, seen: Sequence[tuple[ServedArm, Rows]]) -> None:
        attempts = []
        for served, rows in seen:
            assigned = Assigned(propensities=served.sampler.share)
            try:
                attempts.append(await self._attempt(part, served, rows, assigned))
            except Exception:  # the edge of the process: a shadow never costs anything but itself
                log.exception("a shadow version failed")
                attempts.append(_failure(part, served, rows, assigned))
        self._record(request, attempts)

    def _record(self, request: _Request, attempts: Sequence[_Attempt]) -> bool:
        call, deployment = request.call, request.lineup.manifest.deployment
        latency_us = (time.perf_counter_ns() - call.arrived_ns) // 1000
        made = Made(deployment, request.at_us, latency_us, call.caller, call.trace)
        for attempt in attempts:
            arm = attempt.served.arm
            self._metrics.predictions(
                deployment,
                model=arm.model,
                version=arm.version,
                arm=arm.role,
                made=len(attempt.outputs),
                failed=attempt.n_failed,
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
                    parents=_parents(call, attempt),
                )
                for attempt in attempts
            ]
        )


def _parents(call: Call, attempt: _Attempt) -> bytes:
    """Those of an attempt's rows."""
    if not call.parents:
        return b""
    part, rows = attempt.part, attempt.rows
    return Ids(call.parents).chosen(part.first + (np.arange(part.asked.n_rows) if rows is None else rows))


def _failure(part: _Part, served: ServedArm, rows: Rows, assigned: Assigned, inputs: Inputs | None = None) -> _Attempt:
    """The attempt of a version that could say nothing of any row."""
    n_rows = part.asked.n_rows if rows is None else len(rows)
    return _Attempt(part, served, rows, assigned, inputs, np.full(n_rows, np.nan), n_rows)


def _count_failed(outputs: npt.NDArray[np.float64]) -> int:
    if outputs.size == 1:  # of one a look from Python takes a tenth of the time
        return int(not isfinite(outputs.item()))
    return outputs.size - int(np.count_nonzero(np.isfinite(outputs)))


def _some(looked_up: LookedUp, rows: slice) -> LookedUp:
    values, status, ages_s = looked_up.values
    return looked_up._replace(values=OnlineValues(values[rows], status[rows], ages_s[rows]))


def _predictions(request: _Request, attempts: Sequence[_Attempt], *, degraded: bool) -> Predictions:
    """The answers in the order of the rows.

    Raises
    ------
    PredictionFailed
        If a row has none, outside of a composite.
    """
    values, shares = _values(attempts, n_rows=request.asked.n_rows)
    n_answered = sum(len(attempt.outputs) - attempt.n_failed for attempt in attempts if attempt.inputs is not None)
    if n_answered < request.asked.n_rows and not request.call.parents:
        raise PredictionFailed(
            f"rows[{np.flatnonzero(np.isnan(values))[0]}]: no version of the model gave a finite number; "
            "nothing is wrong with the request as such, and what happened is recorded"
        )
    return Predictions(
        request.lineup.manifest.deployment,
        request.lineup.fallback.arm.model,
        ids=request.ids,
        values=values,
        shares=shares,
        degraded=degraded,
    )


def _values(attempts: Sequence[_Attempt], *, n_rows: int) -> tuple[npt.NDArray[np.float64], list[Share]]:
    """The finite outputs in the order of the rows, NaN where there is none, and whose they are."""
    first = attempts[0]
    if len(attempts) == 1 and not first.n_failed:
        return first.outputs, [_share(first, _ALL, _ALL)]
    values, shares = np.full(n_rows, np.nan), list[Share]()
    for attempt in attempts:
        if attempt.inputs is None:
            continue
        rows = np.arange(attempt.part.asked.n_rows) if attempt.rows is None else attempt.rows
        good = np.isfinite(attempt.outputs)
        places = attempt.part.first + rows[good]
        values[places] = attempt.outputs[good]
        shares.append(_share(attempt, places, rows[good]))
    return values, shares


def _share(attempt: _Attempt, places: Any, rows: Any) -> Share:
    """The share of an attempt: where its rows stand in the answer, and in its part."""
    served, inputs = attempt.served, attempt.inputs
    assert inputs is not None, "without inputs there is no output"
    status = None if inputs.status is None else inputs.status[rows]
    return Share(places, served.arm.version, served.arm.role, served.model, served.builder.words, status, inputs.matrix[rows])
