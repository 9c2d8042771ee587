"""All commands that there are, found by walking through the catalogue."""

from collections.abc import Iterator
from typing import Any

from octavo.cli.catalogue import ENTRIES, load

Path = tuple[str, ...]


def every_command() -> Iterator[tuple[Path, Any]]:
    """The path and the command of each, groups too."""
    for name in ENTRIES:
        yield from _below((name,), load(name))


def _below(path: Path, command: Any) -> Iterator[tuple[Path, Any]]:
    yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from _below((*path, name), sub)


def answers(command: Any) -> bool:
    """Whether it does something itself, rather than only hold other commands."""
    return not hasattr(command, "commands") or command.invoke_without_command
