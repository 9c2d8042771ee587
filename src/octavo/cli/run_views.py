"""runs show and runs compare: one run in full, and several by what differs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer

from octavo.cli.measures import duration, number
from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, say, show_facts, show_table
from octavo.cli.session import open_session
from octavo.errors import NotFound
from octavo.training.runs import GitState, Run
from octavo.training.tracking import recording
from octavo.training.tracking.artifacts import GetRunArtifact, RunArtifact
from octavo.training.tracking.comparison import CodeDifference, CompareRuns, Comparison, Difference, MetricDifference
from octavo.training.tracking.numbers import number_of
from octavo.training.tracking.operations import ListRuns, LoggedPoint, ShowHistory, ShowRun

_TICKS = "▁▂▃▄▅▆▇█"
_WIDTH = 24
_MOST_FILES, _MOST_PARTS = 20, 100


def show(
    run: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the end of it.")],
    log: Annotated[bool, typer.Option("--log", help="What its process wrote, instead.")] = False,
    metric: Annotated[str | None, typer.Option(help="All values of this metric, instead.")] = None,
    json: Json = False,
) -> None:
    """Show one run: what it used, what it measured, and what came of it.

    \b
    Examples:
      octavo runs show 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40
      octavo runs show 7a6d40 --metric loss
      octavo runs show 7a6d40 --log

    \b
    Next:
      octavo runs compare ID OTHER
      octavo runs download ID
    """
    with open_session() as session:
        found: Run = session.call(ShowRun(run=run))
        if log:
            _show_log(session.call(GetRunArtifact(run=found.id, name=recording.LOG)) if found.log else None, found)
            return
        points: tuple[LoggedPoint, ...] = session.call(ShowHistory(run=found.id, metric=metric))
        parts: tuple[Run, ...] = session.call(
            ListRuns(where=f"parent = '{found.id}'", sort="started", limit=_MOST_PARTS)
        )
    if metric is not None:
        _show_history(points, found, metric, json=json)
        return
    if json:
        emit_json(found)
        return
    _show_run(found, points)
    _show_parts(parts)


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="ID", help="Two runs or more, by id or the end of it.")],
    baseline: Annotated[str | None, typer.Option(help="The run that others are held against; else the first.")] = None,
    json: Json = False,
) -> None:
    """Show what differs between runs, and only that: parameters, code, packages, data, metrics.

    \b
    Examples:
      octavo runs compare 7a6d40 91c2ef
      octavo runs compare 7a6d40 91c2ef 03bb12 --baseline 91c2ef

    \b
    Next:
      octavo runs show ID
    """
    with open_session() as session:
        compared: Comparison = session.call(CompareRuns(runs=tuple(runs), baseline=baseline))
    if json:
        emit_json(compared)
        return
    _show_comparison(compared)


def took(run: Run) -> str:
    """How long a run took; empty while it runs."""
    return duration(run.seconds) if run.finished_at else ""


def sparkline(values: Sequence[float]) -> str:
    """Values as a row of blocks, at most 24, each the last of its stretch; one that is not finite is a gap."""
    if len(values) > _WIDTH:
        values = [values[(i + 1) * len(values) // _WIDTH - 1] for i in range(_WIDTH)]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, size = min(finite), max(finite) - min(finite)
    top = len(_TICKS) - 1
    return "".join(
        " " if not math.isfinite(v) else _TICKS[round((v - low) / size * top) if 0 < size < math.inf else 0]
        for v in values
    )


def _show_run(run: Run, points: Sequence[LoggedPoint]) -> None:
    show_facts(
        [
            ("run", run.id),
            *_given([("name", run.name), ("experiment", run.experiment), ("model", run.model), ("parent", run.parent)]),
            ("status", run.status),
            ("started by", run.trigger),
            *_given([("by", run.by), ("source", run.source)]),
            *([("known until", run.as_of)] if run.model else []),
            ("started", run.started_at),
            ("took", took(run)),
            *([("rows", f"{run.rows:,}"), ("training set", run.dataset)] if run.model else []),
            *_given([("code", run.code), ("commit", _commit(run.git)), ("environment", run.environment)]),
            *_given([("machine", ", ".join(run.hardware.get(n, "") for n in ("cpu", "cores", "memory")).strip(", "))]),
            *([("version", run.version)] if run.model else []),
            *_given([("deleted", run.deleted_at)]),
            ("error", run.error),
        ]
    )
    _show_texts("parameters", run.params)
    _show_texts("tags", run.tags)
    _show_metrics(run, points)
    _show_files(run)


def _show_parts(parts: Sequence[Run]) -> None:
    """The steps of a training, the trials of a sweep, and what else followed a run."""
    if parts:
        say("")
        show_table(
            ["part", "name", "status", ">took", "?parameters", "?error"],
            (
                [part.id, part.name or part.model, part.status, took(part), _pairs(part.params), part.error]
                for part in parts
            ),
            empty="",
        )


def _pairs(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in texts.items())


def _given(facts: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    return [(name, value) for name, value in facts if value]


def _commit(git: GitState | None) -> str:
    if git is None:
        return ""
    parts = [
        git.commit[:12] or "none yet",
        f"on {git.branch}" if git.branch else "",
        "with changes" if git.dirty else "",
    ]
    return ", ".join(part for part in [*parts, git.note] if part)


def _show_texts(title: str, texts: "Iterable[str] | object") -> None:
    if isinstance(texts, dict) and texts:
        say(f"\n[bold]{title}[/]")
        show_facts(texts.items())


def _show_metrics(run: Run, points: Sequence[LoggedPoint]) -> None:
    if not run.metrics:
        return
    histories: dict[str, list[float]] = {name: [] for name in run.metrics}
    for point in points:
        histories.setdefault(point.name, []).append(number_of(point.value))
    say("")
    show_table(
        ["metric", ">last", "?>lowest", "?>highest", "?>values", "?history"],
        (
            [name, value, *_ends(histories[name]), len(histories[name]) or 1, sparkline(histories[name])]
            for name, value in run.metrics.items()
        ),
        empty="",
    )


def _ends(history: Sequence[float]) -> tuple[float | None, float | None]:
    finite = [value for value in history if math.isfinite(value)]
    return (min(finite), max(finite)) if len(finite) > 1 else (None, None)


def _show_files(run: Run) -> None:
    names = list(run.artifacts)
    if not names:
        return
    say("\n[bold]files[/]")
    for name in names[:_MOST_FILES]:
        say(f"  {plain(name)}")
    if len(names) > _MOST_FILES:
        say(f"  and {len(names) - _MOST_FILES} more")
    note(f"[dim]Fetch them: octavo runs download {run.id}[/]")


def _show_log(found: RunArtifact | None, run: Run) -> None:
    if found is None:
        raise NotFound("log", run.id)
    typer.echo(found.data.decode("utf-8", "replace"), nl=False)


def _show_history(points: Sequence[LoggedPoint], run: Run, metric: str, *, json: bool) -> None:
    if metric not in run.metrics:
        raise NotFound("metric", metric, run.metrics)
    if json:
        emit_json(points)
        return
    show_table(
        [">step", ">value", "at"], ([p.step, number_of(p.value), p.at] for p in points), empty="It has no history."
    )


def _show_comparison(compared: Comparison) -> None:
    names = [run.name or f"…{run.id[-8:]}" for run in compared.runs]
    headers = [f"{name}{' (baseline)' if place == 0 else ''}" for place, name in enumerate(names)]
    rows: list[list[object]] = [["run", *(run.id for run in compared.runs)]]
    for title, differences in (("", compared.facts), ("params", compared.params), ("tags", compared.tags)):
        rows += [_row(title, difference) for difference in differences]
    rows += [_metric_row(difference) for difference in compared.metrics]
    for title, differences in (("hardware", compared.hardware), ("packages", compared.packages)):
        rows += [_row(title, difference) for difference in differences]
    show_table(["", *headers], rows, empty="")
    for code in compared.code:
        _show_code(compared, code)
    alike = [f"{count} {part}" for part, count in compared.alike.items() if count]
    if alike:
        note(f"[dim]The same in all, and left out: {', '.join(alike)}.[/]")


def _row(title: str, difference: Difference) -> list[object]:
    return [f"{title}.{difference.name}" if title else difference.name, *difference.values]


def _metric_row(difference: MetricDifference) -> list[object]:
    cells = [
        "-"
        if value is None
        else number(value) + ("" if delta is None else f" ({'+' if delta >= 0 else ''}{number(delta)})")
        for value, delta in zip(difference.values, difference.deltas, strict=True)
    ]
    return [f"metrics.{difference.name}", *cells]


def _show_code(compared: Comparison, code: CodeDifference) -> None:
    say(f"\n[bold]code of {code.run} against the baseline[/]")
    if code.note:
        say(plain(code.note))
    if code.text:
        typer.echo(code.text)
