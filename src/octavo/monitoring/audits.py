"""Audits of a deployment's features: what was served, held against what the events say, and kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa

from octavo.definitions.features import FeatureView
from octavo.errors import NotFound, OctavoError
from octavo.features.audit.comparison import Progress, audit_view
from octavo.features.audit.reasons import FeatureAudit, Reason, merged
from octavo.features.audit.recomputed import AT, Served
from octavo.features.events.payloads import ARROW_TYPES
from octavo.features.values import FeatureStatus
from octavo.monitoring.packed import Packed, packed_of
from octavo.monitoring.references import version_of
from octavo.monitoring.served import by_bundle, complete, sample_served
from octavo.monitoring.windows import matrix_of
from octavo.operations import Context
from octavo.stores.ports import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesAudit:
    """What an audit of a deployment found.

    Attributes
    ----------
    since : datetime or None
        Predictions made in [since, at) were sampled; None if they are the newest ones.
    versions : tuple of int
        Of the predictions.
    predictions : int
        How many were audited.
    skipped : int
        How many could not be, for `problems`.
    """

    kind: ClassVar[str] = "features_audit"

    deployment: str
    model: str
    at: datetime
    since: datetime | None
    versions: tuple[int, ...] = ()
    predictions: int = 0
    skipped: int = 0
    problems: tuple[str, ...] = ()
    features: tuple[FeatureAudit, ...] = ()

    @property
    def key(self) -> str:
        return audit_key(self.deployment, self.at)

    def count(self, reason: Reason) -> int:
        """How many values there are of a reason."""
        return sum(feature.count(reason) for feature in self.features)

    @property
    def values(self) -> int:
        return sum(feature.values for feature in self.features)

    @property
    def wrong(self) -> int:
        """How many values call for someone."""
        return sum(feature.wrong for feature in self.features)


def audit_key(deployment: str, at: datetime) -> str:
    """The key of the audit of a deployment at a moment."""
    return f"{deployment}/{at.isoformat()}"


def newest_audits(tx: Transaction, deployment: str, *, limit: int) -> list[FeaturesAudit]:
    """The audits made last, the newest first."""
    return tx.find(FeaturesAudit, newest_first=True, limit=limit, deployment=deployment)


def audit_features(
    context: Context, deployment: str, *, at: datetime, since: datetime | None, limit: int, lag: timedelta
) -> FeaturesAudit:
    """Audit the features of a sample of a deployment's predictions; keeps nothing.

    Only what is in the tables counts: ship events and predictions first.

    Parameters
    ----------
    since : datetime or None
        The newest predictions are audited unless given.
    limit : int
        How many predictions at most; memory grows with it, and with the events of one entity.
    lag : timedelta
        How long applying an event may take without being wrong.
    """
    model = context.project.deployment(deployment).model.name
    sample = sample_served(context.stores.tables, deployment, since=since, until=at, limit=limit)
    found: list[FeatureAudit] = []
    versions: list[int] = []
    problems: list[str] = []
    audited = 0
    lots = [] if sample is None else list(by_bundle(sample))
    for place, (digest, its_model, version, rows) in enumerate(lots):
        progress = partial(_part, context.progress, place, len(lots))
        versions.append(version)
        try:
            served, of_version = _audit_version(context, (its_model, version, digest), rows, lag=lag, progress=progress)
            found += of_version
            audited += served
        except OctavoError as error:
            problems.append(f"version {version} cannot be audited: {error.message}")
    return FeaturesAudit(
        deployment=deployment,
        model=model,
        at=at,
        since=since,
        versions=tuple(sorted(set(versions))),
        predictions=audited,
        skipped=(sample.num_rows if sample is not None else 0) - audited,
        problems=tuple(problems),
        features=merged(found),
    )


def _part(progress: Progress, place: int, of: int, fraction: float, message: str) -> None:
    progress((place + fraction) / of, message)


def _audit_version(
    context: Context, version: tuple[str, int, str], rows: pa.Table, *, lag: timedelta, progress: Progress
) -> tuple[int, list[FeatureAudit]]:
    """Audit what one bundle was given, which must be that of a registered version; how many predictions, and what."""
    model, number, digest = version
    if version_of(context, model, number).digest != digest:
        raise NotFound(f"version of model {model!r} with bundle", digest)
    packed = packed_of(context.stores.artifacts, digest, project=context.project)
    rows = complete(rows, n_inputs=len(packed.plan.inputs))
    if not rows.num_rows:
        return 0, []
    served = _served(rows, packed)
    first, found = 0, list[FeatureAudit]()
    for place, planned in enumerate(packed.plan.views):
        part = partial(_part, progress, place, len(packed.plan.views))
        part(0.0, f"recomputing {planned.name}")
        view = packed.views.get(planned.name)
        if view is None:
            raise NotFound("feature view", planned.name, context.project.views)
        found += audit_view(
            context.stores.tables,
            served_by=view,
            declared=context.project.views.get(planned.name),
            served=served.of(range(first, first + len(planned.features))),
            lag=lag,
            progress=part,
        )
        first += len(planned.features)
    recorded = zip(rows.column("entities").to_pylist(), rows.column("request").to_pylist(), strict=True)
    from octavo.monitoring.replayed import audit_functions, request_of  # loads what compiles loops

    asked = [request_of(entities, request) for entities, request in recorded]
    found += audit_functions(packed, served, asked, model=context.project.models.get(model))
    return len(served), found


def _served(rows: pa.Table, packed: Packed) -> Served:
    """All inputs of some predictions, with the keys of their entities."""
    n_inputs = len(packed.plan.inputs)
    n_looked_up = sum(len(view.features) for view in packed.plan.views)
    status = matrix_of(rows.column("status"), np.uint8, width=n_inputs)
    return Served(
        ids=rows.column("id").to_numpy(),
        spine=_spine(rows, packed.views.values()),
        values=matrix_of(rows.column("inputs"), np.float32, width=n_inputs),
        status=status,
        unread=(status[:, :n_looked_up] == FeatureStatus.UNREAD).any(axis=1),
    )


def _spine(rows: pa.Table, views: Iterable[FeatureView]) -> pa.Table:
    entities: list[dict[str, Any]] = [msgspec.json.decode(text) for text in rows.column("entities").to_pylist()]
    keys = {entity.key: entity.dtype for view in views for entity in view.entities}
    columns = {key: pa.array([row.get(key) for row in entities], ARROW_TYPES[dtype]) for key, dtype in keys.items()}
    return pa.table({**columns, AT: rows.column("at")})
