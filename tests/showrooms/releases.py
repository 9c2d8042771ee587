"""Runs and releases of the showroom, and who asked for them."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from octavo.release.releases import Release, ReleaseState, Transition
from octavo.stores.metrics import MetricPoint
from octavo.stores.names import digest_of
from octavo.stores.ports import AuditEvent
from octavo.training.runs import GitState, Run, RunStatus
from tests.showrooms.moments import DAY, HOUR, NOW, made_id, run_id

ROC = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def metric_points() -> list[MetricPoint]:
    """The history of a run's loss, with a value that is none."""
    values = [1.0, 0.5, math.nan, math.inf, 0.25]
    return [
        MetricPoint(run=run_id(7), name="loss", step=step, at=NOW + HOUR * step, value=value)
        for step, value in enumerate(values)
    ]


def runs(text: str) -> list[Run]:
    def run(number: int, status: RunStatus, days: float, **changes: object) -> Run:
        at = NOW - DAY * days
        fields: dict[str, object] = {
            "id": run_id(number), "model": "arrival_delay", "status": status, "trigger": "user", "as_of": at,
            "started_at": at, "finished_at": at + timedelta(seconds=48), "seconds": 48.2, "rows": 81_389,
            "dataset": "sha256:" + "3f" * 32, "code": "sha256:" + "9a" * 32, "metrics": {"mae": 15.1, "rmse": 27.4},
        }  # fmt: skip
        return Run(**{**fields, **changes})  # type: ignore[arg-type]  # of tests

    return [
        run(1, RunStatus.SUCCEEDED, 26, version=1),
        run(2, RunStatus.SUCCEEDED, 10, version=2, trigger=f"drift: {text}"),
        run(3, RunStatus.SUCCEEDED, 6, version=3, trigger=f"performance: {text}"),
        run(4, RunStatus.SUCCEEDED, 1, version=4, trigger=f"drift: {text}"),
        run(5, RunStatus.FAILED, 0.5, model="arrives_late", metrics={}, rows=0, error=f"ValueError: {text}"),
        run(6, RunStatus.RUNNING, 0.01, finished_at=None, seconds=0.0, rows=0, metrics={}),
        *_logged(run, text),
    ]


def _logged(run: Callable[..., Run], text: str) -> list[Run]:
    """Runs of a notebook, one within the other; the inner one was ended by hand."""
    git = GitState(commit="c0" * 20, branch=text, dirty=True, untracked=(text,), note=text)
    of = {"model": "", "experiment": text, "rows": 0, "dataset": "", "source": text, "by": text, "git": git}
    files = {"plots/roc.svg": digest_of(ROC), "octavo/log.txt": digest_of(text.encode())}
    return [
        run(7, RunStatus.SUCCEEDED, 0.4, name=text, params={"depth": text, "rate": "0.1"}, tags={"team": text},
            metrics={"loss": 0.25, "mae": 14.9}, hardware={"cpu": text}, artifacts=files,
            log=files["octavo/log.txt"], **of),
        run(8, RunStatus.KILLED, 0.3, name="inner", parent=run_id(7), params={"depth": "8", "rate": "0.1"},
            metrics={"loss": math.inf}, error=f"KeyboardInterrupt: {text}", **of),
    ]  # fmt: skip


def releases(text: str) -> list[Release]:
    def way(start: datetime, *steps: tuple[ReleaseState, int]) -> tuple[Transition, ...]:
        return tuple(
            Transition(at=start + HOUR * 6 * place, state=state, percent=percent, reason=f"412 predictions, {text}")
            for place, (state, percent) in enumerate(steps)
        )

    s, first, second = ReleaseState, NOW - 26 * DAY, NOW - 10 * DAY
    ramp = ((s.VERIFIED, 0), (s.APPROVED, 0), (s.SHADOW, 0), (s.CANARY, 10), (s.CANARY, 50), (s.LIVE, 100))

    def release(
        number: int, version: int, state: ReleaseState, start: datetime, *, percent: int, **changes: object
    ) -> Release:
        fields: dict[str, object] = {
            "deployment": "eta",
            "model": "arrival_delay",
            "cause": f"drift: {text}",
            **changes,
        }
        return Release(id=made_id(number), version=version, state=state, requested_at=start, percent=percent, **fields)  # type: ignore[arg-type]  # of tests

    return [
        release(1, 1, s.RETIRED, first, percent=0, history=way(first, ramp[0], ramp[1], ramp[5], (s.RETIRED, 0))),
        release(2, 2, s.LIVE, second, percent=100, history=way(second, *ramp)),
        release(5, 4, s.CANARY, NOW - 20 * HOUR, percent=10, history=way(NOW - 20 * HOUR, *ramp[:4])),
        release(
            7, 1, s.LIVE, first, percent=100, deployment="late", model="arrives_late",
            history=way(first, ramp[0], ramp[1], ramp[5]),
        ),
        release(
            8, 2, s.WAITING_FOR_APPROVAL, NOW - 9 * HOUR, percent=0, deployment="late", model="arrives_late",
            history=way(NOW - 9 * HOUR, ramp[0], (s.WAITING_FOR_APPROVAL, 0)),
        ),
    ]  # fmt: skip


def audit(text: str) -> list[AuditEvent]:
    made = (
        (26.2, "user:ada", "project.apply", "", "done"),
        (26.0, "user:ada", "models.train", "model=arrival_delay", "done"),
        (10.0, "worker", "models.train", "model=arrival_delay", "done"),
        (2.0, f"user:{text}", "releases.rollback", f"deployment={text}", "denied"),
        (0.9, "user:ada", "releases.start", "deployment=eta version=3", "refused: gate_failed"),
        (0.8, "worker", "releases.start", "deployment=eta version=4", "done"),
    )
    return [
        AuditEvent(at=NOW - DAY * days, actor=actor, operation=operation, target=target, outcome=outcome)
        for days, actor, operation, target, outcome in made
    ]
