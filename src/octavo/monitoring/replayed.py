"""On-demand functions, run once more on what was served, by a predictor's own code on the request as recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.features import OnDemand
from octavo.definitions.models import Model
from octavo.definitions.order import in_order
from octavo.definitions.plans import LookupPlan, plan_lookup
from octavo.features.audit.reasons import FeatureAudit, Reason, told
from octavo.features.audit.recomputed import Recomputed, Served
from octavo.features.functions import compute
from octavo.features.values import FeatureStatus, OnlineValues
from octavo.monitoring.packed import Packed
from octavo.serving.asked import AskedRows
from octavo.serving.functions import FunctionsHere
from octavo.serving.inputs import InputBuilder, Inputs
from octavo.serving.lookup import FeatureLookup, LookedUp
from octavo.serving.requests import RequestDecoder
from octavo.stores.inline import InlineReader
from octavo.stores.memory import MemoryOnlineStore


def audit_functions(
    packed: Packed, served: Served, asked: Sequence[bytes], *, model: Model | None
) -> tuple[FeatureAudit, ...]:
    """Audit the on-demand features of some predictions.

    Parameters
    ----------
    served : Served
        All inputs, in the order of the plan.
    asked : sequence of bytes
        Of each prediction its request as JSON: request fields and entity keys.
    model : Model or None
        As the project declares it today; None if it does no more.
    """
    if not packed.functions:
        return ()
    today = _todays(packed.plan, model)
    again = _replay(packed.plan, packed.functions, served, asked)
    now = _replay(*_as_today(packed, model, today), served, asked)
    first = sum(len(view.features) for view in packed.plan.views)
    return tuple(
        _audited(function, today.get(function.name), served.of([column]), again.of([column]), now.of([column]))
        for column, function in enumerate(packed.functions, start=first)
    )


def _audited(
    function: OnDemand, today: OnDemand | None, served: Served, again: Recomputed, now: Recomputed
) -> FeatureAudit:
    """Audit one function, whose values are the only column."""
    steady = again.agrees[:, 0]
    differs = steady if today is None else steady & ~now.agrees[:, 0]
    reasons = np.where(steady, Reason.EQUAL, Reason.FUNCTION_UNSTEADY).astype(object)
    reasons[differs] = Reason.CODE_CHANGED
    return told(
        function.name,
        reasons,
        served,
        _chosen(differs, now, again),
        is_changed=today is None or today.source_code != function.source_code or bool(differs.any()),
    )


def _todays(plan: LookupPlan, model: Model | None) -> dict[str, OnDemand]:
    """The functions of the plan as the project declares them today; without those that take what was not recorded."""
    recorded = {*plan.inputs, *(field.name for field in plan.fields)}
    planned = {function.name for function in plan.functions}
    declared = model.on_demand if model is not None else ()
    return {f.name: f for f in declared if f.name in planned and recorded.issuperset(f.inputs)}


def _as_today(
    packed: Packed, model: Model | None, today: Mapping[str, OnDemand]
) -> tuple[LookupPlan, tuple[OnDemand, ...]]:
    """The plan and its functions with today's in their places."""
    planned = {one.name: one for one in plan_lookup(model).functions} if model is not None else {}
    replaced = tuple(planned[one.name] if one.name in today else one for one in packed.plan.functions)
    functions = tuple(today.get(function.name, function) for function in packed.functions)
    return replace(packed.plan, functions=replaced), functions


def _replay(plan: LookupPlan, functions: tuple[OnDemand, ...], served: Served, asked: Sequence[bytes]) -> Recomputed:
    """The inputs of requests, held against those that were served."""
    inputs = inputs_again(plan, functions, asked, values=served.values, status=served.status)
    same = (inputs.matrix == served.values) | (np.isnan(inputs.matrix) & np.isnan(served.values))
    return Recomputed(values=inputs.matrix, status=inputs.statuses, agrees=same & (inputs.statuses == served.status))


def inputs_again(
    plan: LookupPlan,
    functions: Sequence[OnDemand],
    asked: Sequence[bytes],
    *,
    values: npt.NDArray[np.float32],
    status: npt.NDArray[np.uint8],
) -> Inputs:
    """The inputs that a plan makes of requests, its looked-up features being given.

    Parameters
    ----------
    asked : sequence of bytes
        Of each prediction its request as JSON: request fields and entity keys.
    values, status : ndarray, shape (n_rows, n_inputs)
        In the columns of looked-up features those; what else is in them does not matter.

    Raises
    ------
    InvalidRequest
        If a request does not fit the plan.
    PredictionFailed
        If an on-demand feature fails.
    """
    decoder = RequestDecoder(plan.fields, max_rows=len(asked))
    rows = decoder.decode(b'{"rows":[' + b",".join(asked) + b"]}")
    lookup = FeatureLookup.of_plan(InlineReader(MemoryOnlineStore()), plan)
    builder = InputBuilder(plan, functions=FunctionsHere(), lookup=lookup, names=decoder.names)
    sent, looked_up = AskedRows(rows), _as_served(plan, values, status)
    computed = compute(in_order(functions), builder.taken(sent, looked_up), sent.n_rows)
    return builder.build(sent, looked_up, computed)


def _as_served(plan: LookupPlan, values: npt.NDArray[np.float32], status: npt.NDArray[np.uint8]) -> LookedUp | None:
    """The features that were served then; None if there were none."""
    if not plan.views:
        return None
    values, status = values.copy(), status.copy()
    status[:, sum(len(view.features) for view in plan.views) :] = FeatureStatus.PRESENT
    return LookedUp(OnlineValues(values, status, np.full(values.shape, np.nan, np.float32)), False)


def _chosen(differs: npt.NDArray[np.bool_], new: Recomputed, old: Recomputed) -> Recomputed:
    which = differs[:, np.newaxis]
    return Recomputed(
        values=np.where(which, new.values, old.values),
        status=np.where(which, new.status, old.status),
        agrees=old.agrees,
    )


def request_of(entities: str, request: str) -> bytes:
    """A recorded request as it may be decoded again: all its fields, the entity keys among them."""
    fields: dict[str, Any] = {**msgspec.json.decode(request), **msgspec.json.decode(entities)}
    return msgspec.json.encode(fields)
