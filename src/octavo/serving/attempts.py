"""A request on its way to its answer: its parts, what versions made of them, and the answer that this makes."""

import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.errors import OctavoError, PredictionFailed, Unavailable
from octavo.features.values import OnlineValues
from octavo.serving.answers import Predictions, Share, Together, encode_answer
from octavo.serving.asked import Asked
from octavo.serving.blocks import Rows
from octavo.serving.ids import Ids
from octavo.serving.inputs import InputBuilder, Inputs
from octavo.serving.lineup import Assigned, Lineup, ServedArm
from octavo.serving.lookup import LookedUp
from octavo.serving.reading import Read, read_rows
from octavo.serving.tracing import Trace
from octavo.serving.unread import lacking

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

    @property
    def is_plain(self) -> bool:
        """Whether it may be answered together with others."""
        return not self.parents and self.steps is None


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


class AnsweredTogether(msgspec.Struct, frozen=True, gc=False):
    """An answer to some of the rows that were answered together; as `Answered`.

    Attributes
    ----------
    first, last : int
        The rows from `first` up to `last`.
    """

    together: Together
    first: int
    last: int
    with_values: bool = False

    follow_up: ClassVar[None] = None

    @property
    def answer(self) -> Predictions:
        """See `Answered`."""
        return self.together.part(self.first, self.last)

    @property
    def body(self) -> bytes:
        """The answer as JSON."""
        if self.with_values or self.last - self.first > 1:
            return encode_answer(self.answer, with_values=self.with_values)
        return self.together.bodies[self.first]


AnyAnswered = Answered | AnsweredTogether


class Part:
    """Some rows of a request on their way, and what each recipe made of them."""

    __slots__ = ("asked", "first", "ids", "prepared", "request")

    def __init__(self, request: "Request", *, asked: Asked, first: int, ids: Ids) -> None:
        self.request, self.asked, self.first, self.ids = request, asked, first, ids
        self.prepared: dict[InputBuilder, Inputs] = {}

    async def inputs(self, builder: InputBuilder) -> Inputs:
        """What a recipe makes of the rows, made once.

        Raises
        ------
        PredictionFailed
            If an on-demand feature fails.
        """
        prepared = self.prepared.get(builder)
        if prepared is None:
            looked_up = await self.request.looked_up(builder) if builder.looks_up else None
            if looked_up is not None and self.asked is not self.request.asked:
                looked_up = _some(looked_up, slice(self.first, self.first + self.asked.n_rows))
            computed = await builder.compute(self.asked, looked_up) if builder.computes else None
            prepared = self.prepared[builder] = builder.build(self.asked, looked_up, computed)
        return prepared


class Request:
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
            looked_up = await builder.look_up(self.asked, at_us=self.at_us)
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

    def parts(self, at_once: int) -> list[Part]:
        """Its rows, so many at once."""
        asked, ids = self.asked, self.ids
        if asked.n_rows <= at_once:
            return [Part(self, asked=asked, first=0, ids=ids)]
        return [
            Part(self, asked=asked.part(first, first + at_once), first=first, ids=ids.part(first, first + at_once))
            for first in range(0, asked.n_rows, at_once)
        ]


class Attempt(NamedTuple):
    """What one version made of some rows of a part; not finite where it failed."""

    part: Part
    served: ServedArm
    rows: Rows
    assigned: Assigned
    inputs: Inputs | None
    outputs: npt.NDArray[np.float64]
    n_failed: int
    error: OctavoError | None = None

    @property
    def failed(self) -> npt.NDArray[np.intp]:
        """The places, within the part, of the rows on which it failed."""
        failed = np.flatnonzero(~np.isfinite(self.outputs))
        return failed if self.rows is None else self.rows[failed]

    @property
    def parents(self) -> bytes:
        """The composite's predictions that the rows belong to; see `Call`."""
        part, rows = self.part, self.rows
        if not part.request.call.parents:
            return b""
        places = part.first + (np.arange(part.asked.n_rows) if rows is None else rows)
        return Ids(part.request.call.parents).chosen(places)


def failure(
    part: Part,
    served: ServedArm,
    rows: Rows,
    assigned: Assigned,
    inputs: Inputs | None = None,
    error: OctavoError | None = None,
) -> Attempt:
    """The attempt of a version that could say nothing of any row."""
    n_rows = part.asked.n_rows if rows is None else len(rows)
    return Attempt(part, served, rows, assigned, inputs, np.full(n_rows, np.nan), n_rows, error)


def count_failed(outputs: npt.NDArray[np.float64]) -> int:
    """How many of them are no finite numbers."""
    if outputs.size == 1:  # of one a look from Python takes a tenth of the time
        return int(not isfinite(outputs.item()))
    return outputs.size - int(np.count_nonzero(np.isfinite(outputs)))


def _some(looked_up: LookedUp, rows: slice) -> LookedUp:
    values, status, ages_s = looked_up.values
    return looked_up._replace(values=OnlineValues(values[rows], status[rows], ages_s[rows]))


def predictions(request: Request, attempts: Sequence[Attempt], *, degraded: bool) -> Predictions:
    """The answers in the order of the rows.

    Raises
    ------
    PredictionFailed
        If a row has none, outside of a composite.
    Unavailable
        If that is so because the process of a version's functions is not there.
    """
    values, shares = _values(attempts, n_rows=request.asked.n_rows)
    n_answered = sum(len(attempt.outputs) - attempt.n_failed for attempt in attempts if attempt.inputs is not None)
    if n_answered < request.asked.n_rows and not request.call.parents:
        if (gone := next((one.error for one in attempts if isinstance(one.error, Unavailable)), None)) is not None:
            raise Unavailable(f"no version of the model can answer: {gone.message}")
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


def _values(attempts: Sequence[Attempt], *, n_rows: int) -> tuple[npt.NDArray[np.float64], list[Share]]:
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


def _share(attempt: Attempt, places: Any, rows: Any) -> Share:
    """The share of an attempt: where its rows stand in the answer, and in its part."""
    served, inputs = attempt.served, attempt.inputs
    assert inputs is not None, "without inputs there is no output"
    status = None if inputs.status is None else inputs.status[rows]
    arm, words = served.arm, served.builder.words
    return Share(places, arm.version, arm.role, served.model, words, status, inputs.matrix[rows])
