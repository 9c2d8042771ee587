"""The model card of a version: what it is for, what it learned from, how well it does and where it ends."""

from collections.abc import Iterator

from octavo.definitions.models import Model, Task
from octavo.definitions.warnings import deprecations
from octavo.registry.provenance import Provenance
from octavo.training.details import Details
from octavo.training.reports import DataWindow, Interval, Report

_INPUTS, _WEAKEST = 15, 3


def model_card(model: Model, report: Report, provenance: Provenance) -> str:
    """The card, as Markdown."""
    sections = (
        f"# {model.name}",
        model.description or "No description was declared.",
        _bullets(
            f"Owner: {model.owner or 'not declared'}",
            f"Purpose: {model.purpose or 'not declared'}",
            f"Risk tier: {model.tier or 'not declared'}",
            f"Predicts: {_target(model)}",
            *([f"Answered by: `{model.answer}`, of what the model says"] if model.answer else []),
            f"Knows what was known before {provenance.as_of:%Y-%m-%d %H:%M} UTC",
            f"Made by run {provenance.run}, started by: {provenance.trigger}",
        ),
        "## Data",
        _bullets(
            *_learning(report, provenance),
            f"Training set {provenance.dataset}",
        ),
        "## How well it does",
        _table(report),
        *_parts(report),
        "## What it looks at",
        _importance(report),
        "## Where it ends",
        _bullets(
            "It was judged on the newest stretch of labelled rows. The world may differ later; monitoring says when.",
            "A missing input is given to it as missing, or as its declared default; its answer rests on training rows "
            "that lacked it too.",
            *model.limits,
            *_weak(report),
            *(f"Its training rows are not what the project expects: {breach}." for breach in report.breaches),
            *(f"When it was trained, {warning}." for warning in deprecations(model)),
            *(["Its answer is a probability, not a decision."] if model.task is Task.BINARY else []),
            *(f"The trained estimator refuses rows of this kind: {kind}." for kind in provenance.refused),
        ),
    )
    return "\n\n".join(sections) + "\n"


def _learning(report: Report, provenance: Provenance) -> tuple[str, ...]:
    """What it learned from and was judged on; of a model that was made elsewhere only the latter is known."""
    training, holdout, origin = _window(report.training), _window(report.holdout), provenance.origin
    if origin is None:
        return f"Learned from {training}", f"Judged on {holdout}, which it did not see"
    made = "" if origin.made_at is None else f", made {origin.made_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"Fitted elsewhere: {origin.made_by}{made}, files {origin.digest}; what it learned from is not known here",
        f"Judged on {holdout}, of which it may have learned from {provenance.seen:,}",
        f"Its inputs are watched against {training}",
    )


def _target(model: Model) -> str:
    label = model.label
    column = f"`{label.column}` of `{label.source.name}`"
    return column if label.above is None else f"the probability that {column} is above {label.above:g}"


def _window(window: DataWindow) -> str:
    return f"{window.rows:,} rows, decided from {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"


def _table(report: Report) -> str:
    names = list(report.metrics)
    rows = [("this version", report.metrics), *report.baselines.items()]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, found in rows:
        lines.append(f"| {name} | " + " | ".join(_interval(found.get(metric)) for metric in names) + " |")
    return "\n".join(lines)


def _parts(report: Report) -> Iterator[str]:
    """Which parts answer for the model, and how well."""
    found = report.partition
    if found is None:
        return
    yield f"{found.words}. The model for all answers everything else."
    if not found.parts:
        return
    lines = [
        f"| {found.by} | training rows | held-out rows | {found.metric} of the model for all | of the part | answers |",
        "|---" * 6 + "|",
    ]
    for one in found.parts:
        values = (_number(one.parent), _number(one.part), "the part" if one.kept else f"the model for all: {one.why}")
        lines.append(f"| {_cell(one.word)} | {one.rows:,} | {one.held_out:,} | {' | '.join(map(_cell, values))} |")
    yield "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    """A text that ends no cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def _interval(found: Interval | None) -> str:
    return "-" if found is None else f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _weak(report: Report) -> Iterator[str]:
    """Where it surely does worse than elsewhere, the worst first."""
    found = report.details or Details()
    for row in [row for row in found.slices if row.is_sure][:_WEAKEST]:
        yield f"It does worse where {row.name} ({row.rows:,} held-out rows): {found.metric} {_interval(row.metric)}."


def _importance(report: Report) -> str:
    ranked = sorted(report.importance.items(), key=lambda item: -item[1])[:_INPUTS]
    return _bullets(*(f"`{name}` {share:.1%}" for name, share in ranked if share > 0))


def _bullets(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)
