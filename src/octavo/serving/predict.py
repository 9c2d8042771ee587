"""The hot path: from the bytes of a request to the bytes of its answer, without knowing of HTTP.

Rows are validated, routed, looked up in one batched read, turned into a matrix and scored per version; what was
predicted is recorded; then the answer is encoded. A version that fails where another is live does not cost the caller
an answer.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite

from octavo.clock import Clock
from octavo.errors import OctavoError, PredictionFailed
from octavo.identifiers import uuid7
from octavo.serving.answers import DeploymentAnswer, PredictionAnswer, encode_answer
from octavo.serving.asked import Asked, Read, read_rows
from octavo.serving.inputs import InputBuilder, Inputs, as_given
from octavo.serving.lineup import LIVE, Lineup, ServedArm
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.recorder import Recorder
from octavo.serving.records import PredictionRecord
from octavo.serving.requests import Row

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 256
_NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    Attributes
    ----------
    caller : str
        The principal's name.
    trace : str
        The trace id of W3C trace context; empty if the caller sent none.
    arrived_ns : int
        On the clock of `time.perf_counter_ns`.
    with_values : bool
        Whether the answer shall hold the inputs themselves.
    read : callable
        Reads the body as the door takes it that it came through.
    """

    body: bytes
    caller: str
    arrived_ns: int
    trace: str = ""
    with_values: bool = False
    read: Read = read_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer, and what is left to do once it is sent.

    Attributes
    ----------
    follow_up : callable or None
        Lets the shadow versions predict and records what they said.
    """

    answer: DeploymentAnswer
    follow_up: Callable[[], None] | None

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        return encode_answer(self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What one version made of some rows of a batch; NaN where it failed."""

    batch: "_Batch"
    served: ServedArm
    places: Sequence[int]
    outputs: list[float]

    @property
    def failed(self) -> list[int]:
        return [place for place, output in zip(self.places, self.outputs, strict=True) if not isfinite(output)]


@dataclass(slots=True, kw_only=True, eq=False)
class _Batch:
    """A few rows on their way, and what each recipe made of them."""

    first: int
    ids: list[str]
    rows: Sequence[Row]
    at_us: int
    prepared: dict[InputBuilder, Inputs] = field(default_factory=dict)
    entities: dict[InputBuilder, list[dict[str, str | int]]] = field(default_factory=dict)

    def inputs(self, builder: InputBuilder) -> Inputs:
        prepared = self.prepared.get(builder)
        if prepared is None:
            entities = self.entities[builder] = [builder.entities(row) for row in self.rows]
            prepared = self.prepared[builder] = builder.build(self.rows, entities=entities, at_us=self.at_us)
        return prepared


class Predictor:
    """Answers requests. Not to be shared between threads.

    Parameters
    ----------
    clock : Clock
    recorder : Recorder
    metrics : PredictorMetrics
    """

    def __init__(self, *, clock: Clock, recorder: Recorder, metrics: PredictorMetrics) -> None:
        self._clock = clock
        self._recorder = recorder
        self._metrics = metrics

    def predict(self, lineup: Lineup, call: Call) -> Answered:
        """Answer one request.

        Raises
        ------
        InvalidRequest
            If the body is not what the deployment takes.
        PredictionFailed
            If no version gave a finite number for some row.
        """
        steps = self.steps(lineup, call)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                answered: Answered = stop.value
                return answered

    def steps(self, lineup: Lineup, call: Call) -> Generator[None, None, Answered]:
        """As `predict`, but pausing between batches of rows, so that a large request does not hold up others."""
        asked = call.read(lineup, call.body)
        rows = asked.rows
        at_us = self._clock.now_us()
        attempts: list[_Attempt] = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            if start:
                yield
            attempts += self._score(lineup, _batch(asked, lineup, first=start, at_us=at_us))
        kept = self._record(lineup, call, attempts)
        batches = list(dict.fromkeys(attempt.batch for attempt in attempts))
        degraded = any(inputs.degraded for batch in batches for inputs in batch.prepared.values())
        self._metrics.degraded += degraded
        answer = DeploymentAnswer(
            deployment=lineup.manifest.deployment,
            model=lineup.fallback.arm.model,
            predictions=_answers(attempts, n_rows=len(rows), with_values=call.with_values),
            degraded=degraded or not kept,
        )
        follow_up = (lambda: self._shadow(lineup, call, batches)) if lineup.shadows else None
        return Answered(answer=answer, follow_up=follow_up)

    def _score(self, lineup: Lineup, batch: _Batch) -> list[_Attempt]:
        """One attempt per version; a second one, by the fallback, for rows on which a canary failed."""
        places = lineup.places(batch.ids, batch.rows)
        attempts = []
        for arm in sorted(set(places)):
            served = lineup.answering[arm]
            attempt = _attempt(batch, served, [place for place, chosen in enumerate(places) if chosen == arm])
            attempts.append(attempt)
            if served is not lineup.fallback and (failed := attempt.failed):
                attempts.append(_attempt(batch, lineup.fallback, failed))
        return attempts

    def _shadow(self, lineup: Lineup, call: Call, batches: Sequence[_Batch]) -> None:
        attempts = [_attempt(batch, served, range(len(batch.rows))) for served in lineup.shadows for batch in batches]
        self._record(lineup, call, attempts)

    def _record(self, lineup: Lineup, call: Call, attempts: Sequence[_Attempt]) -> bool:
        latency_us = (time.perf_counter_ns() - call.arrived_ns) // 1000
        deployment = lineup.manifest.deployment
        for attempt in attempts:
            arm = attempt.served.arm
            self._metrics.predictions(
                deployment,
                model=arm.model,
                version=arm.version,
                arm=arm.role,
                made=len(attempt.places),
                failed=len(attempt.failed),
            )
        return self._recorder.record(
            [
                record
                for attempt in attempts
                for record in _records(attempt, call, deployment=deployment, latency_us=latency_us)
            ]
        )


def _batch(asked: Asked, lineup: Lineup, *, first: int, at_us: int) -> _Batch:
    rows = asked.rows[first : first + ROWS_AT_ONCE]
    batch = _Batch(first=first, ids=[uuid7(at_us) for _ in rows], rows=rows, at_us=at_us)
    if asked.matrix is not None:
        inputs = as_given(asked.matrix[first : first + ROWS_AT_ONCE])
        for served in lineup.arms:
            batch.prepared[served.builder], batch.entities[served.builder] = inputs, [{}] * len(rows)
    return batch


def _attempt(batch: _Batch, served: ServedArm, places: Sequence[int]) -> _Attempt:
    try:
        matrix = batch.inputs(served.builder).matrix
        outputs = served.model.run(matrix if len(places) == len(matrix) else matrix[places]).tolist()
    except OctavoError as error:
        facts = {"model": served.arm.model, "version": served.arm.version, "arm": served.arm.role}
        log.error("a version failed to predict", extra={**facts, "reason": error.message})
        outputs = [_NAN] * len(places)
    return _Attempt(batch=batch, served=served, places=places, outputs=outputs)


def _records(attempt: _Attempt, call: Call, *, deployment: str, latency_us: int) -> Iterator[PredictionRecord]:
    batch, arm, builder = attempt.batch, attempt.served.arm, attempt.served.builder
    inputs = batch.prepared.get(builder)
    for place, output in zip(attempt.places, attempt.outputs, strict=True):
        yield PredictionRecord(
            id=batch.ids[place],
            at_us=batch.at_us,
            deployment=deployment,
            model=arm.model,
            version=arm.version,
            digest=arm.digest,
            arm=arm.role,
            entities=batch.entities[builder][place],
            request=builder.request(batch.rows[place]) if batch.rows[place] else {},
            inputs=inputs.matrix[place].tobytes() if inputs else b"",
            status=inputs.status[place].tobytes() if inputs else b"",
            ages_s=inputs.ages_s[place].tobytes() if inputs else b"",
            output=output,
            latency_us=latency_us,
            caller=call.caller,
            trace=call.trace,
        )


def _answers(attempts: Sequence[_Attempt], *, n_rows: int, with_values: bool) -> list[PredictionAnswer]:
    """The answers in the order of the rows.

    Raises
    ------
    PredictionFailed
        If a row has none.
    """
    found: dict[int, PredictionAnswer] = {}
    for attempt in attempts:
        batch, arm, builder = attempt.batch, attempt.served.arm, attempt.served.builder
        inputs = batch.prepared.get(builder)
        for place, output in zip(attempt.places, attempt.outputs, strict=True):
            if inputs is None or not isfinite(output):
                continue
            found[batch.first + place] = PredictionAnswer(
                id=batch.ids[place],
                value=output,
                version=arm.version,
                arm=None if arm.role == LIVE else arm.role,
                features=builder.words.json(inputs.status[place].tobytes()),
                values=dict(zip(builder.plan.inputs, inputs.matrix[place].tolist(), strict=True))
                if with_values
                else None,
            )
    for row in range(n_rows):
        if row not in found:
            raise PredictionFailed(
                f"rows[{row}]: no version of the model gave a finite number; "
                "nothing is wrong with the request as such, and what happened is recorded"
            )
    return [found[row] for row in range(n_rows)]
