"""What a person sees while the demo runs: its steps, and the replay as it goes. All on the error stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from time import monotonic

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_NEWS_LINES = 14
_TIME = "%a %d %b %H:%M"
_INDENT = " " * 10


@dataclass
class Step:
    """One step of the demo: what it does, and what came of it.

    Attributes
    ----------
    note : str
        What it is at, and in the end what came of it.
    fraction : float or None
        How far it is, where that is known.
    """

    title: str
    started_s: float = field(default_factory=monotonic)
    seconds: float | None = None
    note: str = ""
    fraction: float | None = None


@dataclass
class Traffic:
    """The replay, so far."""

    now: datetime | None = None
    predictions: int = 0
    failed: int = 0
    outcomes: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    news: list[tuple[datetime, str]] = field(default_factory=list)
    """What happened on the way and when, newest last."""


class Display:
    """A live list of steps; where the error stream is no terminal, a line for each thing as it happens instead.

    Parameters
    ----------
    console : Console
        Of the error stream.
    """

    def __init__(self, console: Console) -> None:
        self.traffic: Traffic | None = None
        self._steps: list[Step] = []
        self._console = console
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the steps until the block ends."""
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """One step; it counts as done when the block ends without an exception."""
        step = Step(title)
        self._steps.append(step)
        yield step
        step.seconds = monotonic() - step.started_s
        self._line(f"{step.seconds:6.1f} s  {step.title}: {step.note}")

    def say(self, text: str) -> None:
        """A line above the steps."""
        self._console.print(text, soft_wrap=True, markup=False)

    def happened(self, at: datetime, text: str) -> None:
        """Add a line to what happened during the replay."""
        if self.traffic is not None:
            self.traffic.news.append((at, text))
        self._line(f"{_INDENT}{at:{_TIME}}  {text}")

    def passed(self, day: date) -> None:
        """A day of the replay is over."""
        if (traffic := self.traffic) is not None:
            requests = f"{traffic.predictions:,} predictions, {traffic.failed:,} failed requests"
            latency = f"p50 {traffic.p50_ms:.1f} ms, p99 {traffic.p99_ms:.1f} ms"
            self._line(f"{_INDENT}{day:%a %d %b}: {requests}, {traffic.outcomes:,} outcomes, {latency}")

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self.say(text)

    def _render(self) -> RenderableType:
        table = _grid(no_wrap=3)
        for step in self._steps:
            table.add_row(*_row(step))
        return Group(table, *([_traffic(self.traffic)] if self.traffic else []))


def _grid(*, no_wrap: int) -> Table:
    """Columns side by side, of which the first few are never wrapped, and the last takes what is left."""
    table = Table.grid(padding=(0, 2))
    for _ in range(no_wrap):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    return table


def _row(step: Step) -> tuple[RenderableType, ...]:
    if step.seconds is not None:
        seconds = Text(f"{step.seconds:5.1f} s", style="dim")
        return Text("✓", style="green"), Text(step.title), seconds, Text(step.note)
    done: RenderableType = Text(step.note)
    if step.fraction is not None:
        done = ProgressBar(total=1.0, completed=step.fraction, width=40)
    return Spinner("dots"), Text(step.title), "", done


def _traffic(traffic: Traffic) -> RenderableType:
    news = _grid(no_wrap=2)
    for at, text in traffic.news[-_NEWS_LINES:]:
        news.add_row(" ", Text(f"{at:{_TIME}}", style="dim"), Text(text, style=_style(text)))
    return Group(Text(), _counts(traffic), Text(), news)


def _counts(traffic: Traffic) -> Text:
    now = f"{traffic.now:{_TIME}} UTC" if traffic.now else "-"
    parts = [
        (now, "bold"),
        (f"{traffic.predictions:,} predictions", ""),
        (f"{traffic.failed:,} failed requests", "bold red" if traffic.failed else ""),
        (f"{traffic.outcomes:,} outcomes", ""),
        (f"p50 {traffic.p50_ms:.1f} ms, p99 {traffic.p99_ms:.1f} ms", ""),
    ]
    return Text("   ") + Text("  ·  ", style="dim").join(Text(text, style=style) for text, style in parts)


def _style(text: str) -> str:
    return {"!": "yellow", "✓": "green", "↻": "cyan"}.get(text[:1], "")
