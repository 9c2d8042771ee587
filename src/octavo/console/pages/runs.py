"""Runs: every training, what it used, and what came of it."""

from collections.abc import Mapping

from octavo.console.formatting import duration, listed, number, plural
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, run_status, running, unknown
from octavo.console.visits import Page, Reply, Visit
from octavo.training.runs import Run, RunStatus

_MOST = 100


def runs(visit: Visit) -> Reply:
    """The newest runs."""
    model = visit.query.get("model") or None
    found: tuple[Run, ...] = visit.call("runs.list", limit=_MOST, model=model)
    rows = [(run, run_status(run.status), metric_words(run.metrics)) for run in found]
    return render(visit, "runs.html", title="Runs", rows=rows, model=model, verdict=_verdict_of_all(found))


def run(visit: Visit) -> Reply:
    """One run."""
    found: Run = visit.call("runs.show", run=visit.parameters["run"])
    return render(
        visit,
        "run.html",
        title=f"Run {found.id[-8:]}",
        run=found,
        verdict=(run_status(found.status), _verdict(found)),
        metrics=[(name, number(value)) for name, value in found.metrics.items()],
    )


def metric_words(metrics: Mapping[str, float]) -> str:
    """Metrics in one line."""
    return ", ".join(f"{name} {number(value)}" for name, value in metrics.items())


def _verdict_of_all(found: tuple[Run, ...]) -> tuple[Status, str]:
    newest = {run.model: run for run in reversed(found)}
    failed = [run.model for run in newest.values() if run.status is RunStatus.FAILED]
    under_way = [run.model for run in newest.values() if run.status in (RunStatus.REQUESTED, RunStatus.RUNNING)]
    if failed:
        return failing("failed"), f"The newest run of {listed(failed)} failed."
    if under_way:
        return running("running"), f"A training of {listed(under_way)} is under way."
    if not found:
        return unknown("none yet"), "Nothing has been trained yet."
    return healthy("succeeded"), "The newest run of each model succeeded."


def _verdict(found: Run) -> str:
    match found.status:
        case RunStatus.SUCCEEDED:
            return (
                f"It made version {found.version} of {found.model} from {plural(found.rows, 'row')} "
                f"in {duration(found.seconds)}."
            )
        case RunStatus.FAILED:
            return f"The training of {found.model} failed: {found.error.rstrip('.')}."
        case RunStatus.REQUESTED:
            return f"The worker has not begun the training of {found.model} yet."
        case RunStatus.RUNNING:
            return f"{found.model} is being trained."


PAGES = (
    Page(path="/runs", permission="models:read", show=runs),
    Page(path="/runs/{run}", permission="models:read", show=run),
)
