"""Which commands there are, each in the module that holds it, in the order of the loop.

The list of all commands is written from here, and a command's module is imported when that command is asked for: what
it needs (DuckDB, Delta, ONNX) takes a second to import, and `octavo --help` needs none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from octavo.cli.manual import readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command, before it is loaded.

    Attributes
    ----------
    module : str
        Below `octavo.cli`; its ``register(app)`` adds the command to a Typer application.
    summary : str
        The first line of its help.
    """

    name: str
    module: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Commands for one part of the work."""

    title: str
    entries: tuple[Entry, ...]


def _section(title: str, *entries: tuple[str, str, str]) -> Section:
    return Section(title=title, entries=tuple(Entry(name=n, module=m, summary=s) for n, m, s in entries))


SECTIONS: tuple[Section, ...] = (
    _section(
        "See it all",
        ("demo", "demo", "Run the whole loop on real data, from events to a retrained model."),
    ),
    _section(
        "Projects",
        ("new", "projects", "Write a project from a template."),
        ("plan", "projects", "Say what applying the project would change, and whom that affects."),
        ("apply", "projects", "Put the project's definitions into force."),
        ("up", "running", "Run the project: console and API, worker, predictor."),
        ("status", "running", "Show what runs, what time it is there, and what waits to be done."),
        ("clock", "clock", "Show what time it is on the platform, and move a replayed clock."),
        ("login", "running", "Print a link that opens the console."),
        ("backup", "backups", "Copy metadata and keys into a folder, while all goes on."),
        ("restore", "backups", "Bring metadata and keys back from a backup, to where there are none."),
        ("artifacts", "artifacts", "Find and remove artifacts that nothing mentions any more."),
    ),
    _section(
        "Data",
        ("ingest", "ingest", "Send events of a source, from files or from the input stream."),
        ("events", "events", "Show how many events could not be taken, and what to do about them."),
        ("sources", "sources", "Show the sources of events, and what reads them."),
        ("features", "features", "Show the feature views, and which models take them."),
        ("datasets", "datasets", "Show the datasets on record, those that models were trained on too."),
        ("materialize", "materialize", "Bring what was sent into tables and online features, while no worker does."),
    ),
    _section(
        "Models",
        ("train", "train", "Train a model, judge it by its gates and register it as a version."),
        ("sweep", "sweeps", "Search good hyperparameters of a model, and train a version by the best ones."),
        ("runs", "runs", "Show trainings and other runs, those that failed too."),
        ("export", "export", "Write what the project does in the form of other programs."),
        ("models", "models", "Show models, their versions and how well each does."),
        ("bundles", "bundles", "Verify versions that were handed on as folders."),
    ),
    _section(
        "Serving",
        ("deployments", "deployments", "Show what serves; release versions, approve, hold, roll back, stop."),
        ("experiments", "experiments", "Compare versions on the traffic itself: start, see and end experiments."),
        ("composites", "composites", "Show the composites: deployments and functions that answer one call together."),
        ("serve", "running", "Run the predictor alone, here in the foreground."),
        ("predict", "predictions", "Ask the running predictor, for one row or many."),
        ("predictions", "predictions", "Show what was predicted, from what, and what came of it."),
        ("outcomes", "outcomes", "Send the truth about predictions."),
    ),
    _section(
        "Watching",
        ("monitor", "monitor", "Show how deployments do: data quality, drift, error, traffic."),
        ("retraining", "retraining", "Show what retrains models by itself, and suspend or resume it."),
        ("incidents", "incidents", "Show what went wrong, since when and why; and end it."),
        ("lineage", "lineage", "Show what a thing came of and what came of it, from events to predictions."),
        ("audit", "audit", "Show who changed what, and prove that it is all there."),
        ("access", "access", "Show who may call, and what each may; give and take roles and keys."),
    ),
)
ENTRIES = {entry.name: entry for section in SECTIONS for entry in section.entries}


def load(name: str) -> Any:
    """The command of that name, from its module."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.callback()(lambda: None)
    import_module(f"octavo.cli.{ENTRIES[name].module}").register(app)
    return readable(get_group(app).commands[name])


class Catalogue(TyperGroup):
    """All commands, each standing for itself by its summary until it is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {entry.name: TyperCommand(entry.name, help=entry.summary) for entry in ENTRIES.values()}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself; None if there is none of that name."""
        return load(cmd_name) if cmd_name in ENTRIES else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, by section."""
        width = max(map(len, ENTRIES))
        for section in SECTIONS:
            with formatter.section(section.title):
                formatter.write_dl(_lines(section.entries, width=width))


def _lines(entries: Sequence[Entry], *, width: int) -> list[tuple[str, str]]:
    return [(entry.name.ljust(width), entry.summary) for entry in entries]
