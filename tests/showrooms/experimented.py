"""Experiments of the showroom: one that runs, and one that was stopped."""

from datetime import datetime, timedelta

from octavo.release.experiments import ExperimentState, StartedArm, StartedExperiment, ended
from tests.showrooms.moments import NOW, made_id

DAY = timedelta(days=1)


def experiments(text: str) -> list[StartedExperiment]:
    stopped = _experiment(20, "eta", "arrival_delay", versions=(2, 1), at=NOW - 5 * DAY)
    return [
        ended(stopped, ExperimentState.STOPPED, at=NOW - DAY, reason=f"stopped by user:ada: {text}"),
        _experiment(21, "late", "arrives_late", versions=(1, 2), at=NOW - DAY),
    ]


def _experiment(
    number: int, deployment: str, model: str, *, versions: tuple[int, int], at: datetime
) -> StartedExperiment:
    arms = tuple(
        StartedArm(name=name, model=model, version=version, percent=40)
        for name, version in zip(("control", "challenger"), versions, strict=True)
    )
    return StartedExperiment(
        id=made_id(number), deployment=deployment, name="surer", unit=None, arms=arms, started_at=at,
        started_by="user:ada", due_at=at + 14 * DAY, sequence=1, served_at=at,
    )  # fmt: skip
