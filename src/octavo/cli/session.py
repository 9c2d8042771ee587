"""What a command starts from: the project here, its dispatcher, and who is calling."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from octavo.cli.output import console
from octavo.config import Config, config_here
from octavo.governance.access.publication import local_principal
from octavo.operations import Context, Dispatcher, Principal

Progressing = Callable[[float, str], None]


@dataclass(frozen=True)
class Session:
    """The project in the current folder, opened for the user of this machine.

    They may do everything that the files allow, or with ``[access] local = "granted"`` what they were granted.
    """

    dispatcher: Dispatcher
    principal: Principal

    @property
    def context(self) -> Context:
        """The project's settings, clock, stores and definitions."""
        return self.dispatcher.context

    def call(self, request: object, *, progress: Progressing = lambda fraction, message: None) -> Any:
        """Run an operation; a long one tells `progress` how far it is."""
        return self.dispatcher.call(request, self.principal, progress=progress)


@contextmanager
def open_session(*, config: Config | None = None, writes_online: bool = False) -> Iterator[Session]:
    """Open a project until the block ends.

    Parameters
    ----------
    config : Config or None
        The project's; that of the project which the current folder is in unless given.
    writes_online : bool
        Whether the command writes online features, which no other process may do meanwhile.
    """
    from octavo.wiring import build_dispatcher, open_context  # heavy, and --help needs none of it

    context = open_context(config or config_here(), writes_online=writes_online)
    try:
        principal = local_principal(context)
        context = replace(context, principal=principal)
        yield Session(build_dispatcher(context, command=True), principal)
    finally:
        for store in (context.stores.metadata, context.stores.online, context.stores.stream):
            store.close()


def ask(request: object) -> Any:
    """Run one operation on the project here."""
    with open_session() as session:
        return session.call(request)


@contextmanager
def progress_bar() -> Iterator[Progressing]:
    """A progress bar on the error stream, if that is a terminal; gives a function of (fraction in [0, 1], message)."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=1.0)

        def report(fraction: float, message: str) -> None:
            progress.update(task, completed=fraction, description=message)

        yield report
