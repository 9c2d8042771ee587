"""The command line, put together."""

import logging
import sys
from typing import Any

import typer

from octavo import __version__
from octavo.cli.catalogue import Catalogue
from octavo.cli.failures import INTERRUPTED, OTHER, exit_code_of, tell, tell_interrupted, tell_unforeseen
from octavo.cli.options import wants_json
from octavo.errors import OctavoError

log = logging.getLogger(__name__)

_EPILOG = """\
Every command answers people by default and programs with --json; without a terminal there is no colour, and no line
is wrapped. An answer goes to the output stream. Anything else goes to the error stream: progress, and errors as one
line, or with --json as one JSON object with code, detail, exit_code, field and fix.

\b
Exit codes:
  0 done                 5 input                 10 not reachable now
  1 unexpected           6 not allowed           11 bytes are damaged
  2 wrong usage          7 not found             12 training failed
  3 configuration        8 conflict              13 prediction failed
  4 definition           9 gate failed          130 interrupted
"""


class Commands(Catalogue):
    """All commands, and how a run of one ends."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what Octavo refuses becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except OctavoError as error:
            tell(error, as_json=wants_json(ctx))
            raise typer.Exit(exit_code_of(error)) from error
        except KeyboardInterrupt as interrupt:
            tell_interrupted()
            raise typer.Exit(INTERRUPTED) from interrupt


app = typer.Typer(
    name="octavo",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    help="From events to a model in production, and back: features, training, release, serving, monitoring, "
    "retraining.\n\nStart with: octavo demo trips. Or with a project of your own: octavo new trips my-project",
    epilog=_EPILOG,
)


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
    """Run the command line."""
    try:
        app()
    except (
        Exception
    ) as error:  # the edge of the process: what nobody foresaw is a line too, and where it arose with --verbose
        log.info("this was not foreseen", exc_info=error)
        tell_unforeseen(error, as_json="--json" in sys.argv)
        sys.exit(OTHER)
