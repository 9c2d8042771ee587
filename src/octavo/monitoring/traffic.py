"""A deployment's traffic by the hour: how much, how fast, how often it failed, and what was answered."""

from dataclasses import dataclass
from datetime import datetime

from octavo.errors import NotFound
from octavo.monitoring.prediction_log import TABLE
from octavo.stores.ports import Tables

_HOURS = """
SELECT date_trunc('hour', "at") AS hour, version, arm, count(*) AS n, count(*) FILTER (NOT isfinite(output)) AS failed,
       quantile_cont(latency_us, 0.5) AS p50, quantile_cont(latency_us, 0.99) AS p99,
       avg(output) FILTER (isfinite(output)) AS mean
FROM predictions WHERE deployment = $deployment AND "at" >= $since AND "at" < $until
GROUP BY ALL ORDER BY hour, version, arm
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficHour:
    """The predictions of one version by one arm in one hour.

    Attributes
    ----------
    hour : datetime
        Its beginning.
    arm : str
        ``live``, ``canary``, ``experiment``, ``holdout``, ``explore`` or ``shadow``; what a shadow says is not answered
        to anyone.
    failed : int
        Predictions that are no finite number.
    latency_p50_us, latency_p99_us : float
        From a request's arrival to its answer.
    mean : float or None
        Of the finite predictions; None if there is none.
    """

    hour: datetime
    version: int
    arm: str
    rows: int
    failed: int
    latency_p50_us: float
    latency_p99_us: float
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A deployment's traffic in [since, until), by rising hour, version and arm; hours without any are left out."""

    deployment: str
    since: datetime
    until: datetime
    hours: tuple[TrafficHour, ...]


def measure_traffic(tables: Tables, deployment: str, *, since: datetime, until: datetime) -> Traffic:
    """Count the predictions that were made in [since, until)."""
    parameters = {"deployment": deployment, "since": since, "until": until}
    try:
        rows = tables.query(_HOURS, tables={"predictions": TABLE}, parameters=parameters).to_pylist()
    except NotFound:
        rows = []
    hours = tuple(
        TrafficHour(
            hour=row["hour"],
            version=row["version"],
            arm=row["arm"],
            rows=row["n"],
            failed=row["failed"],
            latency_p50_us=row["p50"],
            latency_p99_us=row["p99"],
            mean=row["mean"],
        )
        for row in rows
    )
    return Traffic(deployment=deployment, since=since, until=until, hours=hours)
