"""models: models, their versions, and the report of each."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from octavo.cli import model_bundles
from octavo.cli.aliases import alias, aliases, unalias
from octavo.cli.history import history
from octavo.cli.imports import import_
from octavo.cli.measures import bar, interval, number
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.parts import show_parts
from octavo.cli.reports import report
from octavo.cli.session import ask, open_session
from octavo.cli.trained import show_gates
from octavo.cli.waivers import unwaive, waive
from octavo.registry.operations import ListModels, ModelDetails, ModelSummary, ShowModel, ShowVersion, VersionDetails
from octavo.registry.versions import ModelVersion
from octavo.training.reports import DataWindow, Report

_MOST_INPUTS = 12


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(show)
    commands.command()(version)
    commands.command()(report)
    commands.command()(history)
    commands.command("import")(import_)
    for command in (aliases, alias, unalias, waive, unwaive):
        commands.command()(command)
    model_bundles.register(commands)
    app.add_typer(commands, name="models")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show models, their versions and how well each does.

    \b
    Examples:
      octavo models
      octavo models show arrival_delay
      octavo models version arrival_delay 1
      octavo models aliases
      octavo models history arrival_delay

    \b
    Next:
      octavo train MODEL
      octavo deployments
    """
    if context.invoked_subcommand is not None:
        return
    models: tuple[ModelSummary, ...] = ask(ListModels())
    if json:
        emit_json(models)
        return
    show_table(
        ["model", ">versions", ">newest", "held out", "passed", "?trained", "?owner"],
        (_summary_row(model) for model in models),
        empty="No model yet. Declare one with @oc.model in the project's module.",
    )


def _summary_row(model: ModelSummary) -> list[object]:
    newest = model.newest
    if newest is None:
        return [model.model, 0, None, None, None, None, model.owner]
    return [
        model.model,
        model.versions,
        newest.version,
        _metrics(newest),
        newest.passed,
        newest.created_at,
        model.owner,
    ]


def _metrics(version: ModelVersion) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in version.metrics.items())


def show(model: Model, json: Json = False) -> None:
    """Show a model: what it learns, from what, its gates, and all its versions.

    \b
    Example:
      octavo models show arrival_delay

    \b
    Next:
      octavo models version arrival_delay 1
    """
    details: ModelDetails = ask(ShowModel(model=model))
    if json:
        emit_json(details)
        return
    summary = details.summary
    show_facts(
        [
            ("model", summary.model),
            ("description", summary.description),
            ("label", details.label),
            ("inputs", f"{len(details.inputs)}, from {', '.join(details.views) or 'the request'}"),
            *([("answered by", details.answer)] if details.answer else []),
            ("gates", details.gates),
            ("retrained", details.retrain),
            ("owner", summary.owner),
        ]
    )
    say("")
    show_table(
        [">version", "held out", "passed", "trained", "?knows until", "?started by"],
        ([v.version, _metrics(v), v.passed, v.created_at, v.trained_until, v.trigger] for v in details.versions),
        empty=f"It was never trained. Train it: octavo train {model}",
    )


def version(
    model: Model,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.")],
    card: Annotated[bool, typer.Option("--card", help="Print its model card, as Markdown, instead.")] = False,
    json: Json = False,
) -> None:
    """Show the report of a version: its metrics beside the baselines, its gates, and what it goes by.

    Values in brackets are 95 % intervals. Importance is how much worse the held-out metric gets when an input is
    shuffled, as a share of all inputs.

    \b
    Examples:
      octavo models version arrival_delay 1
      octavo models version arrival_delay 1 --card > card.md

    \b
    Next:
      octavo deployments release eta --version 1
    """
    with open_session() as session:
        details: VersionDetails = session.call(ShowVersion(model=model, version=version))
        now = session.context.clock.now()
    if json:
        emit_json(details)
    elif card:
        typer.echo(details.card, nl=False)
    else:
        _show_report(details, now=now)


def _show_report(details: VersionDetails, *, now: datetime) -> None:
    version, report = details.version, details.report
    say(f"[bold]{version.model} {version.version}[/] {_standing(version, now)}")
    show_facts(_facts(details))
    say("")
    show_table(
        ["held-out rows", *(f">{metric}" for metric in report.metrics)], _metric_rows(report), empty="No metrics."
    )
    say("")
    show_gates(version.gates)
    say("")
    show_table(["input", ">importance", ""], _importance_rows(report), empty="It goes by no input.")
    show_parts(report.partition)


def _standing(version: ModelVersion, now: datetime) -> str:
    if version.held_by(now):
        return "[red]failed a gate, so it cannot be released[/]"
    return "[green]passed its gates[/]" if version.passed else "[yellow]did not pass a gate, which is waived[/]"


def _facts(details: VersionDetails) -> Iterator[tuple[str, object]]:
    version, provenance = details.version, details.provenance
    yield "trained", f"{version.created_at:%Y-%m-%d %H:%M}, started by {version.trigger}"
    yield from _learning(details)
    yield "bundle", f"{details.format}, {details.size_bytes / 1e6:.2f} MB, {version.digest}"
    yield "served by", details.forms.words
    if details.answer:
        yield "answered by", details.answer
    if details.forms.uncompiled:
        yield "not compiled", details.forms.uncompiled
    yield "signed by", version.signature.key_id
    yield "training set", provenance.dataset
    yield "code", f"{provenance.code}{_commit(provenance.commit, uncommitted=provenance.uncommitted)}"
    yield "run", version.run


def _learning(details: VersionDetails) -> Iterator[tuple[str, object]]:
    report, origin = details.report, details.provenance.origin
    if origin is None:
        yield "learned from", _window(report.training)
        yield "held out", _window(report.holdout)
        return
    yield "fitted by", f"{origin.made_by}, files {origin.digest}"
    yield "held out", f"{_window(report.holdout)}; it may have learned from {details.provenance.seen:,} of them"


def _commit(commit: str | None, *, uncommitted: bool) -> str:
    if commit is None:
        return ""
    return f", commit {commit[:12]}" + (" with changes" if uncommitted else "")


def _window(window: DataWindow) -> str:
    return f"{window.rows:,} rows, decided {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"


def _metric_rows(report: Report) -> Iterator[list[str]]:
    yield ["this version", *(interval(found) for found in report.metrics.values())]
    for name, found in report.baselines.items():
        yield [f"baseline {name}", *(interval(found.get(metric)) for metric in report.metrics)]


def _importance_rows(report: Report) -> list[list[str]]:
    ranked = sorted(report.importance.items(), key=lambda item: -item[1])[:_MOST_INPUTS]
    largest = ranked[0][1] if ranked else 0.0
    return [[plain(name), f"{share:.1%}", bar(share / largest)] for name, share in ranked if share > 0]
