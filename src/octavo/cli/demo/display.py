"""What a person sees while the demo runs: its steps, and the replay as it goes. All on the error stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from octavo.cli.output import console


@dataclass
class Step:
    """One step of the demo: what it does, and what came of it."""

    title: str
    started: float = field(default_factory=monotonic)
    seconds: float | None = None
    note: str = ""
    fraction: float | None = None


@dataclass
class Traffic:
    """The replay, so far."""

    now: datetime | None = None
    requests: int = 0
    failed: int = 0
    outcomes: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    events: list[str] = field(default_factory=list)
    """What happened on the way, newest last: incidents, retrainings, releases."""


class Display:
    """A live list of steps; where the error stream is no terminal, one line per finished step instead."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.traffic: Traffic | None = None
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=False)

    @contextmanager
    def running(self) -> Iterator["Display"]:
        """Show the steps until the block ends."""
        if not console.is_terminal:
            yield self
            return
        with self._live:
            yield self

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """One step; it counts as done when the block ends without an exception."""
        step = Step(title)
        self.steps.append(step)
        yield step
        step.seconds = monotonic() - step.started
        if not console.is_terminal:
            console.print(f"{step.seconds:5.1f} s  {step.title}  {step.note}", soft_wrap=True)

    def happened(self, text: str) -> None:
        """Add a line to what happened during the replay."""
        if self.traffic is not None:
            self.traffic.events.append(text)
        if not console.is_terminal:
            console.print(f"         {text}", soft_wrap=True)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for step in self.steps:
            table.add_row(*_line(step))
        return Group(table, *([_traffic(self.traffic)] if self.traffic else []))


def _line(step: Step) -> tuple[RenderableType, RenderableType, RenderableType]:
    if step.seconds is not None:
        return Text("✓", style="green"), Text(step.title), Text(f"{step.seconds:5.1f} s  {step.note}", style="dim")
    if step.fraction is not None:
        return Spinner("dots"), Text(step.title), ProgressBar(total=1.0, completed=step.fraction, width=40)
    return Spinner("dots"), Text(step.title), Text(step.note, style="dim")


def _traffic(traffic: Traffic) -> RenderableType:
    head = Text.assemble(
        ("      it is ", "dim"),
        (f"{traffic.now:%a %d %b %Y %H:%M} UTC" if traffic.now else "-", "bold"),
        ("   predictions ", "dim"),
        f"{traffic.requests:,}",
        ("   failed ", "dim"),
        (f"{traffic.failed:,}", "bold red" if traffic.failed else ""),
        ("   outcomes ", "dim"),
        f"{traffic.outcomes:,}",
        ("   p50 ", "dim"),
        f"{traffic.p50_ms:.2f} ms",
        ("   p99 ", "dim"),
        f"{traffic.p99_ms:.2f} ms",
    )
    return Group(Text(), head, *(Text("      " + line) for line in traffic.events[-12:]))
