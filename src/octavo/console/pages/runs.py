"""Runs: every training and whatever else was logged, what it used, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from octavo.console.charts.steps import Curve, sparkline, step_chart
from octavo.console.formatting import MISSING, duration, listed, number, plural, signed
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, run_status, running, unknown, watch
from octavo.console.visits import Download, Page, Reply, Visit
from octavo.errors import InvalidRequest, OctavoError
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.artifacts import RunArtifact
from octavo.training.tracking.comparison import Comparison
from octavo.training.tracking.numbers import number_of
from octavo.training.tracking.operations import LoggedPoint
from octavo.training.tracking.recording import LOG

_MOST, _MOST_METRICS, _MOST_CHARTS, _MOST_LOG = 100, 6, 12, 20_000
_MOST_CHILDREN, _MOST_VALUES = 20, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A run in the table; `cells` are its metrics with how much each is above the baseline's."""

    run: Run
    status: Status
    cells: Sequence[tuple[str, str]]


def runs(visit: Visit) -> Reply:
    """The newest runs, or those that fulfil conditions; beside a baseline that is pinned."""
    query = visit.query
    model, experiment = query.get("model") or None, query.get("experiment") or ""
    problem = ""
    found: tuple[Run, ...] = ()
    try:
        found = visit.call(
            "runs.list",
            limit=_MOST,
            model=model,
            experiments=[experiment] if experiment else [],
            where=query.get("where", ""),
            sort=query.get("sort", ""),
        )
    except InvalidRequest as error:
        problem = f"{error.message}. {error.fix or ''}"
    baseline = _pinned(visit, found)
    shown = _metrics_shown([*([baseline] if baseline else []), *found])
    kept = {k: query[k] for k in ("model", "experiment", "where", "sort", "base") if query.get(k)}
    rest = {k: v for k, v in kept.items() if k != "base"}
    return render(
        visit,
        "runs.html",
        title="Runs",
        rows=[_row(run, shown, baseline) for run in found],
        pinned=_row(baseline, shown, None) if baseline else None,
        metrics=shown,
        model=model,
        kept=kept,
        problem=problem,
        pin=f"/runs?{urlencode(rest)}&base=" if rest else "/runs?base=",
        unpin=f"/runs?{urlencode(rest)}" if rest else "/runs",
        verdict=_verdict_of_all(found),
    )


def run(visit: Visit) -> Reply:
    """One run."""
    found: Run = visit.call("runs.show", run=visit.parameters["run"])
    curves = _curves(visit, found)
    children: tuple[Run, ...] = visit.call("runs.list", where=f"parent = '{found.id}'", limit=_MOST_CHILDREN)
    parent: Run | None = visit.call("runs.show", run=found.parent) if found.parent else None
    return render(
        visit,
        "run.html",
        title=found.name or f"Run {found.id[-8:]}",
        run=found,
        verdict=(run_status(found.status), _verdict(found)),
        metrics=[
            (name, number(value), sparkline(f"History of {name}", curves.get(name, ())))
            for name, value in found.metrics.items()
        ],
        charts=[
            (name, step_chart(f"{name} by step", [Curve(name=name, points=curve)]))
            for name, curve in curves.items()
            if len(curve) > 1
        ],
        parent=parent,
        children=[(child, run_status(child.status), metric_words(child.metrics)) for child in children],
        files=[(name, f"/runs/{found.id}/file?name={quote(name, safe='')}") for name in found.artifacts],
        log=_log(visit, found),
    )


def compare(visit: Visit) -> Reply:
    """Runs beside each other, by only what differs; the baseline first."""
    ids = [*visit.query.get("ids", "").split(","), *(k[2:] for k, v in visit.query.items() if k.startswith("r.") and v)]
    base = visit.query.get("base", "")
    asked = list(dict.fromkeys(one for one in [base, *ids] if one))
    if len(asked) < 2:
        return render(visit, "run_compare.html", title="Runs compared", compared=None, charts=[])
    found: Comparison = visit.call("runs.compare", runs=asked, baseline=base or None)
    histories = {run.id: _curves(visit, run) for run in found.runs}
    names = list(dict.fromkeys(name for run in found.runs for name in run.metrics))
    return render(
        visit,
        "run_compare.html",
        title="Runs compared",
        compared=found,
        labels=[run.name or f"…{run.id[-8:]}" for run in found.runs],
        others=[
            f"/runs/compare?{urlencode({'ids': ','.join(one.id for one in found.runs), 'base': run.id})}"
            for run in found.runs
        ],
        metrics=[
            (
                row.name,
                [(number(v), "" if d is None else signed(d)) for v, d in zip(row.values, row.deltas, strict=True)],
            )
            for row in found.metrics
        ],
        charts=[(name, chart) for name in names[:_MOST_CHARTS] if (chart := _chart(name, found.runs, histories))],
        alike=listed([f"{count} {part}" for part, count in found.alike.items() if count]),
    )


def file(visit: Visit) -> Reply:
    """A file of a run, to be kept; a browser never shows it as a page."""
    found: RunArtifact = visit.call("runs.artifact", run=visit.parameters["run"], name=visit.query.get("name", ""))
    return Reply(download=Download(name=found.name.rpartition("/")[2], data=found.data))


def metric_words(metrics: Mapping[str, float]) -> str:
    """Metrics in one line."""
    return ", ".join(f"{name} {number(value)}" for name, value in metrics.items())


def _pinned(visit: Visit, found: Sequence[Run]) -> Run | None:
    base = visit.query.get("base", "")
    if not base:
        return None
    return next((run for run in found if run.id == base), None) or visit.call("runs.show", run=base)


def _metrics_shown(found: Sequence[Run]) -> list[str]:
    """The metrics that most of the runs have, in the order in which they come."""
    counts: dict[str, int] = {}
    for one in found:
        for name in one.metrics:
            counts[name] = counts.get(name, 0) + 1
    most = sorted(counts, key=lambda name: -counts[name])[:_MOST_METRICS]
    return [name for name in counts if name in most]


def _row(run: Run, metrics: Sequence[str], baseline: Run | None) -> Row:
    return Row(run=run, status=run_status(run.status), cells=[_cell(run, name, baseline) for name in metrics])


def _cell(run: Run, name: str, baseline: Run | None) -> tuple[str, str]:
    value = run.metrics.get(name)
    if value is None:
        return MISSING, ""
    base = baseline.metrics.get(name) if baseline and baseline.id != run.id else None
    return number(value), "" if base is None else signed(value - base)


def _curves(visit: Visit, found: Run) -> dict[str, list[tuple[int, float]]]:
    """The histories of the metrics that are drawn; of very long ones the beginning."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for name in list(found.metrics)[:_MOST_CHARTS]:
        points: tuple[LoggedPoint, ...] = visit.call("runs.history", run=found.id, metric=name, limit=_MOST_VALUES)
        curves[name] = [(point.step, number_of(point.value)) for point in points]
    return curves


def _chart(name: str, found: Sequence[Run], histories: Mapping[str, Mapping[str, list[tuple[int, float]]]]) -> str:
    curves = [Curve(name=run.name or run.id[-8:], points=histories[run.id].get(name, ())) for run in found]
    return step_chart(f"{name} by step", curves) if any(len(curve.points) > 1 for curve in curves) else ""


def _log(visit: Visit, found: Run) -> str:
    """The end of what its process wrote."""
    if not found.log:
        return ""
    try:
        kept: RunArtifact = visit.call("runs.artifact", run=found.id, name=LOG)
    except OctavoError as error:  # the page is about more than its log
        return error.message
    return kept.data[-_MOST_LOG:].decode("utf-8", "replace")


def _verdict_of_all(found: Sequence[Run]) -> tuple[Status, str]:
    newest = {run.belongs_to: run for run in reversed(found)}
    failed = [name for name, run in newest.items() if run.status is RunStatus.FAILED]
    under_way = [name for name, run in newest.items() if not run.status.ended]
    cut_off = [name for name, run in newest.items() if run.status in (RunStatus.KILLED, RunStatus.LOST)]
    if failed:
        return failing("failed"), f"The newest run of {listed(failed)} failed."
    if under_way:
        return running("running"), f"A run of {listed(under_way)} is under way."
    if cut_off:
        return watch("cut off"), f"The newest run of {listed(cut_off)} did not come to its end."
    if not found:
        return unknown("none yet"), "Nothing has been trained or logged yet."
    return healthy("succeeded"), "The newest run of each model and experiment has ended well."


def _verdict(found: Run) -> str:
    what = f"the training of {found.model}" if found.model else f"this run of {found.belongs_to}"
    match found.status:
        case RunStatus.SUCCEEDED if found.version is not None:
            return (
                f"It made version {found.version} of {found.model} from {plural(found.rows, 'row')} "
                f"in {duration(found.seconds)}."
            )
        case RunStatus.SUCCEEDED:
            return f"It ended well after {duration(found.seconds)}."
        case RunStatus.FAILED:
            return f"{what[0].upper()}{what[1:]} failed: {found.error.rstrip('.')}."
        case RunStatus.KILLED:
            return (
                f"{what[0].upper()}{what[1:]} was ended from outside: {found.error.rstrip('.') or 'no word is left'}."
            )
        case RunStatus.LOST:
            return f"{what[0].upper()}{what[1:]} is lost: {found.error}. If it is heard of after all, the run goes on."
        case RunStatus.REQUESTED:
            return f"The worker has not begun {what} yet."
        case RunStatus.RUNNING:
            return f"{found.model} is being trained." if found.model else f"{what[0].upper()}{what[1:]} is under way."


PAGES = (
    Page(path="/runs", permission="models:read", show=runs),
    Page(path="/runs/compare", permission="models:read", show=compare),
    Page(path="/runs/{run}", permission="models:read", show=run),
    Page(path="/runs/{run}/file", permission="models:read", show=file),
)
