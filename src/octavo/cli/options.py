"""Arguments and options that commands have in common."""

from typing import Annotated, Any

import typer

_JSON = "octavo.json"


def _remember(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        context.meta[_JSON] = True
    return wanted


def wants_json(context: Any) -> bool:
    """Whether the command that runs was called with --json."""
    return bool(context.meta.get(_JSON))


Json = Annotated[bool, typer.Option("--json", callback=_remember, help="Answer as JSON, for programs.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most, the newest first.")]
Deployment = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its name.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Its name.")]
