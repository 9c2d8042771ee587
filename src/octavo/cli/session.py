"""What every command starts from: the project here, its dispatcher, and who is calling."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from octavo.cli.output import console
from octavo.operations import Dispatcher, Principal
from octavo.wiring import build_dispatcher, config_here, open_context


@dataclass(frozen=True)
class Session:
    """The project in the current folder, opened for the local user, who may do everything that the files allow."""

    dispatcher: Dispatcher
    principal: Principal

    def call(self, request: object) -> Any:
        """Run an operation."""
        return self.dispatcher.call(request, self.principal)

    def call_with_progress(self, request: object) -> Any:
        """Run a long operation, showing how far it is."""
        with progress_bar() as report:
            return self.dispatcher.call(request, self.principal, progress=report)


def open_session() -> Session:
    """Open the project that the current folder is in."""
    principal = Principal(name=f"user:{getpass.getuser()}", permissions=frozenset({"*"}))
    return Session(build_dispatcher(open_context(config_here(), principal=principal)), principal)


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """A progress bar on the error stream; gives a function of (fraction in [0, 1], message)."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1.0)

        def report(fraction: float, message: str) -> None:
            progress.update(task, completed=fraction, description=message)

        yield report
