"""Recorded requests, answered by a version that was not there: does it answer them, and how differently?

Looked-up features are those that were served then; on-demand ones are computed anew by the version's own code from the
request as recorded; and the request must fit what the version takes. So what breaks callers shows before they call.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.clock import EPOCH
from octavo.errors import IntegrityError, NotFound, OctavoError, PredictionFailed
from octavo.features.categories import translated
from octavo.monitoring.opened import OpenedModel, open_model
from octavo.monitoring.packed import Packed, packed_of
from octavo.monitoring.prediction_log import TABLE
from octavo.monitoring.references import plan_of
from octavo.monitoring.replayed import inputs_again, request_of
from octavo.monitoring.served import by_bundle
from octavo.monitoring.windows import ANSWERED, matrix_of, with_inputs
from octavo.operations import Context
from octavo.registry.gates.served import Replayed
from octavo.registry.jail.opening import Jail

Matrix = npt.NDArray[np.float32]
_NEWEST = f"""
SELECT id, model, version, digest, entities, request, inputs, status, output FROM predictions
WHERE model = $model AND "at" >= $since AND "at" < $until AND {ANSWERED} ORDER BY "at" DESC, id LIMIT $limit
"""
_AS_THEY_ARE = "{}"
_NOTHING = np.empty(0)


def replay(
    context: Context, model: str, *, digest: str, until: datetime, last: int, since: datetime = EPOCH
) -> Replayed:
    """Have the version of a bundle answer the newest requests that a model answered in [since, until).

    Only what is in the table counts: ship predictions first.

    Raises
    ------
    IntegrityError
        If the bundle is gone or damaged.
    Unavailable
        If the artifacts cannot be reached.
    """
    tables, artifacts = context.stores.tables, context.stores.artifacts
    parameters = {"model": model, "since": since, "until": until, "limit": last}
    try:
        rows = tables.query(_NEWEST, tables={"predictions": TABLE}, parameters=parameters)
    except NotFound:
        rows = None
    if rows is None or not rows.num_rows:
        return Replayed(given=_NOTHING, answers=_NOTHING, why=f"no prediction of {model!r} was recorded yet")
    opened = open_model(artifacts, digest, jail=Jail.of(context.config))
    version = _Version(opened, packed_of(artifacts, digest, project=context.project))
    parts = [_replay_bundle(context, version, their, lot) for their, _, _, lot in by_bundle(rows)]
    return _joined(parts)


@dataclass(frozen=True, slots=True)
class _Version:
    """The version that answers."""

    opened: OpenedModel
    packed: Packed

    @property
    def looked_up(self) -> tuple[str, ...]:
        """Its inputs that no request can make."""
        return self.opened.plan.inputs[: sum(len(view.features) for view in self.opened.plan.views)]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What one bundle was given."""

    inputs: tuple[str, ...]
    matrix: Matrix
    status: npt.NDArray[np.uint8]
    given: npt.NDArray[np.float64]
    ids: npt.NDArray[np.object_]

    def columns(self, names: Sequence[str]) -> tuple[Matrix, npt.NDArray[np.uint8]]:
        """Inputs by name, NaN and status 0 for what was not recorded."""
        values = np.full((len(self.matrix), len(names)), np.nan, np.float32)
        status = np.zeros(values.shape, np.uint8)
        for place, name in enumerate(names):
            if name in self.inputs:
                column = self.inputs.index(name)
                values[:, place], status[:, place] = self.matrix[:, column], self.status[:, column]
        return values, status


def _replay_bundle(context: Context, version: _Version, their: str, rows: pa.Table) -> Replayed:
    """Replay what was asked of one bundle."""
    try:
        plan = plan_of(context.stores.artifacts, their)
    except IntegrityError as error:
        return _skipped(rows.num_rows, error.message)
    complete = with_inputs(rows, n_inputs=len(plan.inputs), fits=lambda digest: True)
    recorded = _Recorded(
        plan.inputs,
        matrix_of(complete.column("inputs"), np.float32, width=len(plan.inputs)),
        matrix_of(complete.column("status"), np.uint8, width=len(plan.inputs)),
        complete.column("output").to_numpy(),
        complete.column("id").to_numpy(),
    )
    pairs = list(zip(complete.column("entities").to_pylist(), complete.column("request").to_pylist(), strict=True))
    plain = np.array([pair == (_AS_THEY_ARE, _AS_THEY_ARE) for pair in pairs], np.bool_)
    asked = [b"" if bare else request_of(*pair) for pair, bare in zip(pairs, plain, strict=True)]
    found = _joined(
        [
            _of_matrices(version, plan.categories, recorded, np.flatnonzero(plain)),
            _of_requests(version, recorded, asked, np.flatnonzero(~plain)),
        ]
    )
    return replace(found, skipped=found.skipped + rows.num_rows - complete.num_rows)


def _of_matrices(
    version: _Version,
    words: Mapping[str, tuple[str, ...]],
    recorded: _Recorded,
    places: npt.NDArray[np.intp],
) -> Replayed:
    """What was sent as the model's inputs themselves."""
    plan = version.opened.plan
    if lacking := sorted(set(plan.inputs) - set(recorded.inputs)):
        return _skipped(len(places), f"the recorded inputs lack {', '.join(lacking)}") if len(places) else _none()
    matrix, _ = recorded.columns(plan.inputs)
    for column, name in enumerate(plan.inputs):
        if name in plan.categories:
            matrix[:, column] = translated(matrix[:, column], words.get(name, ()), into=plan.categories[name])
    return _answered(version, matrix[places], recorded, places)


def _of_requests(
    version: _Version,
    recorded: _Recorded,
    asked: Sequence[bytes],
    places: npt.NDArray[np.intp],
) -> Replayed:
    """What was sent as fields; those that the version refuses have failed."""
    if not len(places):
        return _none()
    if lacking := sorted(set(version.looked_up) - set(recorded.inputs)):
        return _skipped(len(places), f"{', '.join(lacking)} was not looked up then")
    values, status = recorded.columns(version.opened.plan.inputs)
    made = [_inputs(version, [asked[place] for place in lot], values[lot], status[lot]) for lot in _lots(places)]
    taken = places[np.concatenate([lot.taken for lot in made])]
    answered = _answered(version, np.concatenate([lot.matrix for lot in made]), recorded, taken)
    refusal = next((lot.refusal for lot in made if lot.refusal), "")
    return replace(answered, failed=answered.failed + len(places) - len(taken), why=refusal or answered.why)


@dataclass(frozen=True, slots=True)
class _Made:
    """The inputs of those requests that are taken, which these are, and why the first other one is not."""

    matrix: Matrix
    taken: npt.NDArray[np.bool_]
    refusal: str = ""


def _inputs(version: _Version, asked: Sequence[bytes], values: Matrix, status: npt.NDArray[np.uint8]) -> _Made:
    """Of all requests at once; where one is refused, of each half of them."""
    plan, functions = version.opened.plan, version.packed.functions
    try:
        matrix = inputs_again(plan, functions, asked, values=values, status=status).matrix
        return _Made(matrix, np.ones(len(asked), np.bool_))
    except OctavoError as error:
        if len(asked) == 1:
            return _Made(values[:0], np.zeros(1, np.bool_), error.message)
    middle = len(asked) // 2
    first, second = (
        _inputs(version, asked[part], values[part], status[part]) for part in (slice(middle), slice(middle, None))
    )
    return _Made(
        np.concatenate([first.matrix, second.matrix]),
        np.concatenate([first.taken, second.taken]),
        first.refusal or second.refusal,
    )


def _lots(places: npt.NDArray[np.intp], *, size: int = 500) -> Iterator[npt.NDArray[np.intp]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _answered(version: _Version, matrix: Matrix, recorded: _Recorded, places: npt.NDArray[np.intp]) -> Replayed:
    """What the version answers to rows, which were recorded at these places."""
    if not len(matrix):
        return _none()
    try:
        answers = version.opened.predict(matrix)
    except PredictionFailed as error:  # of what comes after the model, on any of the rows
        if len(matrix) == 1:
            return replace(_none(), failed=1, why=error.message)
        middle = len(matrix) // 2
        parts = (slice(middle), slice(middle, None))
        return _joined([_answered(version, matrix[part], recorded, places[part]) for part in parts])
    finite = np.isfinite(answers)
    given = recorded.given[places]
    compared = finite & np.isfinite(given)
    return Replayed(
        given=given[compared],
        answers=answers[compared],
        ids=recorded.ids[places][compared],
        failed=int((~finite).sum()),
        skipped=int((finite & ~compared).sum()),
        why="" if finite.all() else "it gives no number",
    )


def _joined(parts: Sequence[Replayed]) -> Replayed:
    failures = [part.why for part in parts if part.failed and part.why]
    return Replayed(
        given=np.concatenate([part.given for part in parts]),
        answers=np.concatenate([part.answers for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        failed=sum(part.failed for part in parts),
        skipped=sum(part.skipped for part in parts),
        why=next(iter([*failures, *(part.why for part in parts if part.why)]), ""),
    )


def _skipped(rows: int, why: str) -> Replayed:
    return Replayed(given=_NOTHING, answers=_NOTHING, skipped=rows, why=why)


def _none() -> Replayed:
    return Replayed(given=_NOTHING, answers=_NOTHING)
