"""Staleness: outcomes that have stopped coming while predictions go on.

How old the model and the newest prediction are stands in each look, and is no incident by itself: a model may be good
for years, and a deployment may rest. Inputs that are stale are quality's business.
"""

from datetime import datetime, timedelta

from octavo.definitions.deployments import Monitor
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.wording import span

OVERDUE_WINDOWS = 7
"""Outcomes may pause for a weekend or a slow month's end; for so many windows on end they do not."""


def judge_staleness(*, at: datetime, predictions: int, newest_outcome_at: datetime | None, monitor: Monitor) -> Finding:
    """Whether outcomes that used to come are overdue; unknown if none ever came, or too few predictions are made.

    Parameters
    ----------
    predictions : int
        In the window.
    newest_outcome_at : datetime or None
        When the newest outcome of the deployment became known.
    """
    allowed = timedelta(seconds=OVERDUE_WINDOWS * monitor.window_s)
    age = None if newest_outcome_at is None else at - newest_outcome_at
    if age is None:
        verdict, summary = Verdict.UNKNOWN, "no outcome has come yet"
    elif age <= allowed:
        verdict, summary = Verdict.HEALTHY, f"the newest outcome became known {span(age)} ago"
    elif predictions < monitor.min_rows:
        verdict, summary = Verdict.UNKNOWN, f"fewer than {monitor.min_rows} predictions in the window"
    else:
        verdict = Verdict.UNHEALTHY
        summary = f"no outcome has become known for {span(age)}, though predictions are made"
    return Finding(
        kind=IncidentKind.STALENESS,
        verdict=verdict,
        subject="outcomes",
        value=None if age is None else age.total_seconds(),
        threshold=allowed.total_seconds(),
        summary=summary,
        cause=f"{summary}; see whether they are still sent" if verdict is Verdict.UNHEALTHY else "",
    )
