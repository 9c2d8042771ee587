"""models alias, aliases, unalias: names of versions that outlast them."""

from collections.abc import Iterator
from typing import Annotated

import typer

from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, say, show_table
from octavo.cli.session import ask
from octavo.release.alias_operations import ListAliases, RemoveAlias, SetAlias
from octavo.release.aliases import ModelAliases

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="Its name, such as champion.")]
Expect = Annotated[
    int | None,
    typer.Option(min=0, help="Only if it names this version now (0: none); otherwise nothing changes."),
]


def aliases(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Only those of this model.")] = None,
    json: Json = False,
) -> None:
    """Show the aliases of models, and which versions they name.

    \b
    Examples:
      octavo models aliases
      octavo models aliases arrival_delay

    \b
    Next:
      octavo models alias MODEL ALIAS VERSION
    """
    found: tuple[ModelAliases, ...] = ask(ListAliases(model=model))
    if json:
        emit_json(found)
        return
    show_table(
        ["model", "alias", ">version", "is called by"],
        _rows(found),
        empty="No alias yet. Name a version: octavo models alias MODEL ALIAS VERSION",
    )


def alias(
    model: Model,
    alias: Alias,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.")],
    expect: Expect = None,
    json: Json = False,
) -> None:
    """Have an alias name a version, be it a new alias or another version than before.

    Predictors answer by it at /predict/MODEL@ALIAS, within a second and without a deployment; the version is loaded
    when it is first asked for. With --expect, of two who move an alias at once one is refused.

    \b
    Examples:
      octavo models alias arrival_delay champion 3
      octavo models alias arrival_delay champion 4 --expect 3

    \b
    Next:
      octavo predict arrival_delay@champion
    """
    state: ModelAliases = ask(SetAlias(model=model, alias=alias, version=version, expect=expect))
    if json:
        emit_json(state)
        return
    say(f"{model}@{alias} names version {version}.")


def unalias(model: Model, alias: Alias, expect: Expect = None, json: Json = False) -> None:
    """Remove an alias; whoever still calls by it is told that there is none.

    \b
    Example:
      octavo models unalias arrival_delay champion

    \b
    Next:
      octavo models aliases
    """
    state: ModelAliases = ask(RemoveAlias(model=model, alias=alias, expect=expect))
    if json:
        emit_json(state)
        return
    say(f"{model}@{alias} names no version any more.")


def _rows(found: tuple[ModelAliases, ...]) -> Iterator[list[object]]:
    for one in found:
        for name, version in sorted(one.versions.items()):
            yield [one.model, name, version, f"{one.model}@{name}"]
