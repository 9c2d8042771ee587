"""How the help of commands reads: values by words instead of Python's types, and summaries in full."""

from collections.abc import Sequence
from typing import Any

import typer

_WORDS = {"str": "TEXT", "list[str]": "TEXT", "int": "NUMBER", "int range": "NUMBER", "float": "NUMBER", "path": "PATH"}


class _Page(typer.Context.formatter_class):  # type: ignore[misc, valid-type]  # it has no public name
    """Help as it is written to a terminal."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line of usage, where what may be left out stands in brackets and all else is needed."""
        super().write_usage(prog, args.replace("{", "").replace("}", ""), prefix)

    def write_dl(self, rows: Sequence[tuple[str, str]], *args: int, **options: int) -> None:
        """Write arguments, options or commands with what is said of each."""
        super().write_dl([(_in_words(name), text) for name, text in rows], *args, **options)


class _Reading(typer.Context):
    formatter_class = _Page


def readable(command: Any) -> Any:
    """The command, with help in words for it and all below it."""
    command.context_class = _Reading
    for below in getattr(command, "commands", {}).values():
        below.short_help = (below.help or "").partition("\n")[0]
        readable(below)
    return command


def _in_words(name: str) -> str:
    """An argument by its name alone, an option with what it takes: ``--limit NUMBER`` for ``--limit <int range>``."""
    called, _, kind = name.partition(" <")
    if not kind or not called.startswith("-"):
        return called
    return f"{called} {_WORDS.get(kind.rstrip('>'), kind.rstrip('>'))}"
