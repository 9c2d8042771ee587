"""demo: the whole loop on real data, from one command."""

import typer

from octavo.cli.demo.trips import trips


def register(app: typer.Typer) -> None:
    """Add the commands of this package."""
    commands = typer.Typer(no_args_is_help=True)
    commands.callback()(demo)
    commands.command()(trips)
    app.add_typer(commands, name="demo")


def demo() -> None:
    """Run the whole loop on real data, from events to a retrained model.

    \b
    Example:
      octavo demo trips

    \b
    Next:
      octavo new trips my-project
    """
