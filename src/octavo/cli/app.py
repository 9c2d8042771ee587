"""The commands of `octavo`, and how errors leave it."""

import logging
import sys

import typer
from rich.markup import escape

from octavo import __version__
from octavo.cli import data, demo, inspect, models, projects, running, watch
from octavo.cli.output import console
from octavo.errors import (
    ConfigurationError,
    Conflict,
    GateFailed,
    InvalidDefinition,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctavoError,
    Unavailable,
)

EXIT_CODES: dict[type[OctavoError], int] = {
    ConfigurationError: 3,
    InvalidDefinition: 4,
    InvalidRequest: 5,
    NotAuthenticated: 6,
    NotAllowed: 6,
    NotFound: 7,
    Conflict: 8,
    GateFailed: 9,
    Unavailable: 10,
}
INTERRUPTED = 130

app = typer.Typer(
    name="octavo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="From events to a model in production, and back: features, training, release, serving, monitoring, retraining.\n\n"
    "Start with [bold]octavo demo trips[/bold], or a project of your own: [bold]octavo new trips my-project[/bold].",
    epilog="Every command answers people by default and programs with --json. Exit codes: 0 done, 2 wrong usage, "
    "3 configuration, 4 definition, 5 input, 6 not allowed, 7 not found, 8 conflict, 9 gate failed, 10 not reachable.",
)
for commands in (projects, data, models, running, watch, inspect, demo):
    commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"octavo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what happens to the error stream."),
) -> None:
    """Set up logging."""
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Run the command line; every refusal becomes one line on the error stream and an exit code."""
    try:
        app()
    except OctavoError as error:
        console.print(f"[bold red]error[/] [dim]{error.code}[/]: {escape(error.message)}", soft_wrap=True)
        fix = error.facts.get("fix")
        if fix:
            console.print(f"  fix: {escape(str(fix))}", soft_wrap=True)
        sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        console.print("interrupted; nothing is left half done", style="yellow")
        sys.exit(INTERRUPTED)
