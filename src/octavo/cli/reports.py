"""models report: what is known of how a version does, as tables, as JSON, or as a file of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.measures import interval, number
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.parts import show_parts
from octavo.cli.session import open_session
from octavo.registry.comparisons import ComparedMetric, Comparison
from octavo.registry.operations import ShowVersion, VersionDetails
from octavo.training.details import Details, SliceRow, ThresholdRow
from octavo.training.reports import Report


def report(
    model: Model,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all of it, with its charts, as one page that needs no other."),
    ] = None,
    json: Json = False,
) -> None:
    """Show how a version does on the held-out rows: beside the live version, by threshold, and where it does worse.

    Values in brackets are 95 % intervals. What is marked as worse is so beyond chance, all slices together.

    \b
    Examples:
      octavo models report arrival_delay 2
      octavo models report arrival_delay 2 --html report.html

    \b
    Next:
      octavo models waive arrival_delay 2 GATE --reason "..."
      octavo deployments release eta --version 2
    """
    with open_session() as session:
        details: VersionDetails = session.call(ShowVersion(model=model, version=version))
        now = session.context.clock.now()
    if html is not None:
        from octavo.console.report_file import report_file  # the console's templates, only where they are wanted

        html.write_text(report_file(details, now=now), encoding="utf-8")
    if json:
        emit_json({"report": details.report, "comparison": details.comparison, "gates": details.version.gates})
    elif html is not None:
        say(f"The report of {model} {version} is in {plain(str(html))}.")
    else:
        _show(details)


def _show(details: VersionDetails) -> None:
    found = details.report
    show_table(["held-out rows", *(f">{name}" for name in found.metrics)], _metric_rows(found), empty="No metrics.")
    show_parts(found.partition)
    if details.comparison is not None:
        say("")
        _show_comparison(details.comparison)
    if found.details is not None:
        _show_details(found.details)


def _metric_rows(report: Report) -> Iterator[list[str]]:
    yield ["this version", *(interval(found) for found in report.metrics.values())]
    for name, found in report.baselines.items():
        yield [f"baseline {name}", *(interval(found.get(metric)) for metric in report.metrics)]


def _show_comparison(comparison: Comparison) -> None:
    if comparison.why:
        say(f"Not compared with version {comparison.champion}, which was live: {plain(comparison.why)}.")
        return
    show_table(
        [
            f"on the same {comparison.rows:,} rows",
            ">this version",
            f">version {comparison.champion}",
            ">difference",
            "",
        ],
        [
            *([one.name, *_compared(one)] for one in comparison.metrics),
            *([f"{one.compared.name} where {one.name}", *_compared(one.compared)] for one in comparison.slices),
        ],
        empty="Nothing could be compared.",
    )


def _compared(one: ComparedMetric) -> list[str]:
    verdict = {None: "may be chance", True: "better", False: "worse"}[one.is_better]
    return [interval(one.ours), interval(one.theirs), interval(one.difference), verdict]


def _show_details(details: Details) -> None:
    if named := [row for row in details.thresholds if row.why]:
        say("")
        show_table(
            [">threshold", "because", ">chosen", ">precision", ">recall", ">f1", "?>cost"],
            (_threshold_row(row) for row in named),
            empty="",
        )
    say("")
    show_table(
        ["slice", f">{details.metric}", "result", "?>rows", "?>loss beyond all others", "?found by"],
        (_slice_row(row) for row in details.slices),
        empty=f"None of {details.searched} slices does worse than the others.",
    )


def _threshold_row(row: ThresholdRow) -> list[object]:
    rates = [f"{row.precision:.1%}", f"{row.recall:.1%}", number(row.f1)]
    return [number(row.threshold), row.why, row.chosen, *rates, None if row.cost is None else number(row.cost)]


def _slice_row(row: SliceRow) -> list[object]:
    verdict = "worse" if row.is_sure else "may be chance" if row.beyond > 0 else "no worse"
    found = "a gate" if row.is_named else "search"
    return [plain(row.name), interval(row.metric), verdict, row.rows, number(row.beyond), found]
