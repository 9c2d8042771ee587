"""The way to the first predictions: history into tables and features, then models, trained and released."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from octavo.cli.demo.plan import Plan
from octavo.cli.session import Session
from octavo.client import Client
from octavo.errors import Conflict, GateFailed, TrainingFailed, Unavailable
from octavo.features.events.ingest import ingest_table
from octavo.features.operations import MaterializeFeatures
from octavo.loop.carrier import bring_events_into_tables
from octavo.loop.definitions import ApplyProject

_POLL_S, _TRAINED_S = 0.2, 600.0


def put_into_force(session: Session) -> int:
    """Apply the project's definitions; how many there are."""
    applied = session.call(ApplyProject())
    return len(applied.changes) + int(applied.unchanged)


def ingest_history(session: Session, flights: ModuleType, plan: Plan) -> dict[str, int]:
    """Send the history as events; how many of each source were accepted."""
    import pandas as pd
    import pyarrow as pa

    context = session.context
    accepted = {}
    for source, table in flights.events(pd.Timestamp(plan.history_from), pd.Timestamp(plan.start)).items():
        rows = pa.Table.from_pandas(table, preserve_index=False)
        declared = context.project.source(source)
        sent = ingest_table(rows, declared, stream=context.stores.stream, clock=context.clock)
        accepted[source] = sent.rows
    return accepted


def materialize(session: Session) -> int:
    """Bring the events into tables and online features; how many feature views there are."""
    bring_events_into_tables(session.context)
    return len(session.call(MaterializeFeatures()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstVersion:
    """A model's first version, live.

    Attributes
    ----------
    baselines : dict of baseline to value
        Of the same metric on the same rows.
    """

    model: str
    metric: str
    value: float
    baselines: dict[str, float]
    rows: int


def train_and_release(client: Client, *, tell: Callable[[str], None]) -> list[FirstVersion]:
    """Have the worker train every model and release what passes its gates; wait until every deployment is live.

    A training that is under way already, from before an interruption, is not begun anew.

    Raises
    ------
    TrainingFailed, GateFailed
        If one of them comes to nothing.
    Unavailable
        If they take longer than ten minutes.
    """
    for model in _without_version(client):
        try:
            client.call("runs.request", model=model)
        except Conflict:
            continue
    deadline_s = time.monotonic() + _TRAINED_S
    while waiting := [s["state"] for s in client.call("deployments.list") if s["state"]["live"] is None]:
        models = client.call("models.list")
        for state in waiting:
            _check(client, next(m for m in models if m["model"] == state["model"]))
        tell(_stage_of(client, waiting))
        if time.monotonic() > deadline_s:
            raise Unavailable("the first models are not live after ten minutes; see .octavo/logs/worker.log")
        time.sleep(_POLL_S)
    return [_first_version(client, model["model"], metric=model["metric"]) for model in client.call("models.list")]


def _without_version(client: Client) -> list[str]:
    return [model["model"] for model in client.call("models.list") if model["newest"] is None]


def _check(client: Client, model: dict[str, Any]) -> None:
    """Refuse to wait for what will not come."""
    newest, name = model["newest"], model["model"]
    failed = [gate for gate in newest["gates"] if not gate["passed"]] if newest else []
    if failed:
        raise GateFailed(f"{name} {newest['version']} did not pass {failed[0]['gate']}: {failed[0]['evidence']}")
    runs = client.call("runs.list", model=name, limit=1)
    if runs and runs[0]["status"] == "failed":
        raise TrainingFailed(f"the training of {name} failed: {runs[0]['error']}")


def _stage_of(client: Client, waiting: list[dict[str, Any]]) -> str:
    trained = {model["model"] for model in client.call("models.list") if model["newest"] is not None}
    return ", ".join(f"{'releasing' if s['model'] in trained else 'training'} {s['model']}" for s in waiting)


def _first_version(client: Client, model: str, *, metric: str) -> FirstVersion:
    report = client.call("models.version", model=model, version=1)["report"]
    return FirstVersion(
        model=model,
        metric=metric,
        value=report["metrics"][metric]["value"],
        baselines={name: values[metric]["value"] for name, values in report["baselines"].items()},
        rows=report["training"]["rows"],
    )
