"""The authoring API of Octavo: everything that a project's module declares.

    import octavo as oc

Re-exports only; nothing inside the package imports it.
"""

from octavo.client.runs import active_run, run
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
from octavo.definitions.answers import after_model
from octavo.definitions.approvals import Approval
from octavo.definitions.calendars import category, local_time
from octavo.definitions.composites import Composite, node
from octavo.definitions.costs import Costs
from octavo.definitions.datasets import Dataset
from octavo.definitions.deployments import Deployment, Monitor, Rollout
from octavo.definitions.derived import SQLSource
from octavo.definitions.fallbacks import fallback
from octavo.definitions.features import FeatureView, on_demand, request
from octavo.definitions.guards import Guards
from octavo.definitions.models import Label, model
from octavo.definitions.pickled import pickled
from octavo.definitions.reports import report
from octavo.definitions.requirements import (
    at_least,
    at_most,
    better_on_log,
    better_than_baseline,
    better_than_champion,
    data_checks,
    fair,
    fast,
    no_skew,
    no_worse_on,
    replays,
    small,
    where,
)
from octavo.definitions.sources import Entity, Source
from octavo.definitions.steps import result, step
from octavo.definitions.sweeps import Sweep
from octavo.definitions.traffic import Experiment, Explore, Holdout
from octavo.definitions.triggers import cron, on_better_found, on_drift, on_new_rows, on_performance, on_staleness
from octavo.definitions.types import Bool, Category, Float64, Int64, List, String, Timestamp, Vector

__version__ = "0.1.0"

__all__ = [
    "Approval",
    "Bool",
    "Category",
    "Composite",
    "Costs",
    "Dataset",
    "Deployment",
    "Entity",
    "Experiment",
    "Explore",
    "FeatureView",
    "Float64",
    "Guards",
    "Holdout",
    "Int64",
    "Label",
    "List",
    "Monitor",
    "Rollout",
    "SQLSource",
    "Source",
    "String",
    "Sweep",
    "Timestamp",
    "Vector",
    "active_run",
    "after_model",
    "at_least",
    "at_most",
    "better_on_log",
    "better_than_baseline",
    "better_than_champion",
    "category",
    "count",
    "cron",
    "data_checks",
    "decayed_count",
    "decayed_sum",
    "distinct",
    "expect",
    "fair",
    "fallback",
    "fast",
    "first",
    "last",
    "last_k",
    "latest",
    "local_time",
    "max",
    "mean",
    "min",
    "model",
    "no_skew",
    "no_worse_on",
    "node",
    "on_better_found",
    "on_demand",
    "on_drift",
    "on_new_rows",
    "on_performance",
    "on_staleness",
    "pickled",
    "quantile",
    "rate",
    "replays",
    "report",
    "request",
    "result",
    "run",
    "small",
    "std",
    "step",
    "sum",
    "where",
]
