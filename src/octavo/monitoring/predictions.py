"""Recorded predictions, read: each with its inputs, its answer and what came of it."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from octavo.definitions.project import Project
from octavo.errors import InvalidRequest, NotFound, OctavoError
from octavo.features.values import FeatureStatus
from octavo.monitoring.matured import outcomes_of
from octavo.monitoring.outcomes import TABLE as OUTCOMES
from octavo.monitoring.prediction_log import TABLE
from octavo.monitoring.references import plan_of
from octavo.monitoring.windows import ANSWERED
from octavo.release.composites import CompositeVersion
from octavo.stores.ports import Stores, Tables

_ENTITY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_BRIEF = 'SELECT id, "at", model, version, arm, entities, output, latency_us'
_WHICH = f"""
FROM predictions
WHERE deployment = $deployment AND {ANSWERED} AND ($before IS NULL OR id < $before)
  AND ($path IS NULL OR json_extract_string(entities, $path) = $key)
ORDER BY id DESC LIMIT $limit
"""
_PAGE = _BRIEF + _WHICH
_PAGE_OF_COMPOSITE = _BRIEF + ", digest, inputs" + _WHICH
_ONE = "SELECT * FROM predictions WHERE id = $id ORDER BY version"
_OF_PARENT = """
SELECT id, "at", deployment, model, version, arm, entities, output, latency_us FROM predictions
WHERE parent = $id AND arm <> 'shadow' ORDER BY id
"""
_ITS_OUTCOMES = """
SELECT id, min(value) AS value, min(known_at) AS known_at, min(received_at) AS received_at FROM outcomes
WHERE prediction = $id GROUP BY id, value, known_at ORDER BY known_at, max(sequence)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSummary:
    """A prediction that was answered, in brief.

    Attributes
    ----------
    output : float or None
        None if the version failed.
    label : float or None
        The truth as the model is to predict it (0 or 1 for a binary label); None while no outcome is known.
    nodes : mapping of str to (float or None)
        Of a composite, in lists: what its nodes said, None where one was not asked or failed.
    """

    id: str
    at: datetime
    model: str
    version: int
    arm: str
    entities: Mapping[str, str | int]
    output: float | None
    latency_us: int
    label: float | None
    nodes: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputValue:
    """One input as the model was given it.

    Attributes
    ----------
    value : float or None
        None where the model was given NaN.
    status : str
        ``present``, ``stale``, ``missing`` or ``default``.
    age_s : float or None
        None for what has no age.
    """

    name: str
    value: float | None
    status: str
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeView:
    """An outcome as it was sent; of several of one prediction the one known last counts."""

    id: str
    value: float
    known_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnswer:
    """What a shadow version said for the same request; None if it failed."""

    version: int
    output: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrediction:
    """What a deployment said as a node of a composite."""

    deployment: str
    summary: PredictionSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionDetails:
    """A prediction with all that is kept of it.

    Attributes
    ----------
    digest : str
        Of the version's bundle.
    inputs : tuple of InputValue
        In the model's order; empty if `inputs_problem` says why they cannot be told.
    outcomes : tuple of OutcomeView
        In the order in which they became known; the last one counts.
    group : str
        Of an experiment's arm, a holdout or exploration; empty outside of them.
    propensity : float or None
        With which probability the version that was to answer was chosen; None if it was not recorded yet.
    parent : str or None
        The composite's prediction that this is a node's of.
    nodes : tuple of NodePrediction
        Of a composite: what the deployments of its nodes said; `inputs` are the values of all its nodes.
    """

    summary: PredictionSummary
    deployment: str
    digest: str
    request: Mapping[str, str | int | float | bool | None]
    inputs: tuple[InputValue, ...]
    inputs_problem: str
    caller: str
    trace: str
    outcomes: tuple[OutcomeView, ...]
    shadows: tuple[ShadowAnswer, ...]
    group: str = ""
    propensity: float | None = None
    parent: str | None = None
    nodes: tuple[NodePrediction, ...] = ()


def list_predictions(
    stores: Stores, project: Project, deployment: str, *, limit: int, entity: str | None, before: str | None
) -> tuple[PredictionSummary, ...]:
    """A page of the answered predictions of a deployment or composite, the newest first.

    Parameters
    ----------
    entity : str or None
        Only those about this one: ``column=key``.
    before : str or None
        Only those older than the prediction with this id.

    Raises
    ------
    InvalidRequest
        If `entity` is not of that form.
    """
    column, key = (None, None) if entity is None else _column_and_key(entity)
    parameters = {"deployment": deployment, "before": before, "limit": limit, "path": column, "key": key}
    is_composite = deployment in project.composites
    page = _PAGE_OF_COMPOSITE if is_composite else _PAGE
    rows = _rows(stores.tables, page, table=TABLE, parameters=parameters)
    outcomes = outcomes_of(stores.tables, [row["id"] for row in rows])
    found = (_summary(row, project, outcome=outcomes.get(row["id"])) for row in rows)
    return tuple(_with_nodes(found, rows, stores) if is_composite else found)


def show_prediction(stores: Stores, project: Project, prediction: str) -> PredictionDetails:
    """A prediction with all that is kept of it.

    Raises
    ------
    NotFound
        If no such prediction has come into the table.
    """
    answer, rows = answer_of(stores.tables, prediction)
    outcomes = _rows(stores.tables, _ITS_OUTCOMES, table=OUTCOMES, parameters={"id": prediction})
    inputs, problem = _inputs(answer, stores)
    return PredictionDetails(
        summary=_summary(answer, project, outcome=outcomes[-1]["value"] if outcomes else None),
        deployment=answer["deployment"],
        digest=answer["digest"],
        request=msgspec.json.decode(answer["request"]),
        inputs=inputs,
        inputs_problem=problem,
        caller=answer["caller"],
        trace=answer["trace"],
        outcomes=tuple(OutcomeView(**row) for row in outcomes),
        group=answer.get("group") or "",
        propensity=answer.get("propensity"),
        shadows=tuple(
            ShadowAnswer(version=row["version"], output=_finite(row["output"]))
            for row in rows
            if row["arm"] == "shadow"
        ),
        parent=answer.get("parent"),
        nodes=_nodes(stores, project, prediction) if not answer["model"] else (),
    )


def answer_of(tables: Tables, prediction: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of the answer that was given, and all rows of a prediction.

    Raises
    ------
    NotFound
        If no such prediction has come into the table.
    """
    rows = _rows(tables, _ONE, table=TABLE, parameters={"id": prediction})
    given = [row for row in rows if row["arm"] != "shadow"]
    if not given:
        raise NotFound("prediction", prediction)
    # Where a canary failed, the live version answered too, and its answer is the one that was given.
    return max(given, key=lambda row: (math.isfinite(row["output"]), row["arm"] == "live")), rows


def _nodes(stores: Stores, project: Project, prediction: str) -> tuple[NodePrediction, ...]:
    """What the deployments of a composite's prediction said."""
    rows = _rows(stores.tables, _OF_PARENT, table=TABLE, parameters={"id": prediction})
    return tuple(
        NodePrediction(deployment=row["deployment"], summary=_summary(row, project, outcome=None)) for row in rows
    )


def _with_nodes(
    found: Iterable[PredictionSummary], rows: Sequence[Mapping[str, Any]], stores: Stores
) -> Iterator[PredictionSummary]:
    names = {digest: _node_names(stores, digest) for digest in {row["digest"] for row in rows}}
    for summary, row in zip(found, rows, strict=True):
        values = map(_finite, np.frombuffer(row["inputs"], "<f4").tolist())
        yield replace(summary, nodes=dict(zip(names[row["digest"]], values, strict=True)))


def _rows(tables: Tables, sql: str, *, table: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    """What a query of one table gives; nothing while the table does not exist."""
    try:
        found: list[dict[str, Any]] = tables.query(sql, tables={table: table}, parameters=parameters).to_pylist()
    except NotFound:
        return []
    return found


def _column_and_key(entity: str) -> tuple[str, str]:
    match = _ENTITY.match(entity)
    if match is None:
        raise InvalidRequest(
            f"{entity[:80]!r} names no entity", field="entity", fix="send its column and key, as in origin=JFK"
        )
    return f"$.{match[1]}", match[2]


def _summary(row: Mapping[str, Any], project: Project, *, outcome: float | None) -> PredictionSummary:
    model = project.models.get(row["model"])
    label = outcome if outcome is None or model is None else model.label.truth(outcome)
    return PredictionSummary(
        id=row["id"],
        at=row["at"],
        model=row["model"],
        version=row["version"],
        arm=row["arm"],
        entities=msgspec.json.decode(row["entities"]),
        output=_finite(row["output"]),
        latency_us=row["latency_us"],
        label=label,
    )


def _inputs(row: Mapping[str, Any], stores: Stores) -> tuple[tuple[InputValue, ...], str]:
    """The inputs by name, or why they cannot be told."""
    if not row["inputs"]:
        return (), "the version failed before its inputs were complete"
    try:
        names = input_names(stores, model=row["model"], digest=row["digest"])
    except OctavoError as error:
        return (), error.message
    values, ages = (np.frombuffer(row[column], "<f4").tolist() for column in ("inputs", "ages_s"))
    statuses = [FeatureStatus(status).word for status in row["status"]]
    if not len(names) == len(values) == len(statuses) == len(ages):
        return (), f"{len(values)} values were recorded for the {len(names)} inputs of bundle {row['digest']}"
    return _named(names, values, statuses, ages), ""


def input_names(stores: Stores, *, model: str, digest: str) -> tuple[str, ...]:
    """What the recorded inputs of a version are called; a composite has no model, and its inputs are its nodes.

    Raises
    ------
    OctavoError
        If its bundle is gone or damaged, or cannot be reached now.
    """
    return plan_of(stores.artifacts, digest).inputs if model else _node_names(stores, digest)


def _node_names(stores: Stores, digest: str) -> tuple[str, ...]:
    """Of a composite, whose nodes' values stand where a model's inputs do."""
    with stores.metadata.transaction() as tx:
        found = tx.find(CompositeVersion, digest=digest, limit=1)
    if not found:
        raise NotFound("version of a composite", digest)
    return tuple(node.name for node in found[0].plan.nodes)


def _named(
    names: Sequence[str], values: Sequence[float], statuses: Sequence[str], ages: Sequence[float]
) -> tuple[InputValue, ...]:
    return tuple(
        InputValue(name=name, value=_finite(value), status=status, age_s=_finite(age))
        for name, value, status, age in zip(names, values, statuses, ages, strict=True)
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
