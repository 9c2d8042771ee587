"""The authoring API of Octavo: everything that a project's module declares.

    import octavo as oc

Re-exports only; nothing inside the package imports it.
"""

from octavo.definitions.about import expect
from octavo.definitions.aggregates import (
    count,
    decayed_count,
    decayed_sum,
    distinct,
    first,
    last,
    last_k,
    latest,
    max,  # noqa: A004
    mean,
    min,  # noqa: A004
    quantile,
    rate,
    std,
    sum,  # noqa: A004
)
from octavo.definitions.calendars import category, local_time
from octavo.definitions.composites import Composite, node
from octavo.definitions.datasets import Dataset
from octavo.definitions.deployments import Deployment, Monitor, Rollout
from octavo.definitions.derived import SQLSource
from octavo.definitions.fallbacks import fallback
from octavo.definitions.features import FeatureView, on_demand, request
from octavo.definitions.models import (
    Label,
    at_least,
    at_most,
    better_than_baseline,
    better_than_champion,
    cron,
    model,
    on_drift,
    on_new_rows,
    on_performance,
)
from octavo.definitions.sources import Entity, Source
from octavo.definitions.traffic import Experiment, Explore, Holdout
from octavo.definitions.types import Bool, Category, Float64, Int64, List, String, Timestamp, Vector

__version__ = "0.1.0"

__all__ = [
    "Bool",
    "Category",
    "Composite",
    "Dataset",
    "Deployment",
    "Entity",
    "Experiment",
    "Explore",
    "FeatureView",
    "Float64",
    "Holdout",
    "Int64",
    "Label",
    "List",
    "Monitor",
    "Rollout",
    "SQLSource",
    "Source",
    "String",
    "Timestamp",
    "Vector",
    "at_least",
    "at_most",
    "better_than_baseline",
    "better_than_champion",
    "category",
    "count",
    "cron",
    "decayed_count",
    "decayed_sum",
    "distinct",
    "expect",
    "fallback",
    "first",
    "last",
    "last_k",
    "latest",
    "local_time",
    "max",
    "mean",
    "min",
    "model",
    "node",
    "on_demand",
    "on_drift",
    "on_new_rows",
    "on_performance",
    "quantile",
    "rate",
    "request",
    "std",
    "sum",
]
