"""Pairs of names and values, as people write them: ``depth=8``."""

from collections.abc import Sequence
from typing import Annotated

import typer

from octavo.errors import InvalidRequest

Params = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A hyperparameter of it; may be given several times.")
]


def pairs_of(texts: Sequence[str] | None, *, option: str = "param") -> dict[str, str]:
    """Values by their names.

    Raises
    ------
    InvalidRequest
        If one is no pair, or a name is given twice.
    """
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, is_pair, value = text.partition("=")
        if not is_pair or not name:
            raise InvalidRequest(f"--{option} {text} is no pair", field=option, fix=f"write it like --{option} depth=8")
        if name in pairs:
            raise InvalidRequest(f"--{option} {name} is given twice", field=option)
        pairs[name] = value
    return pairs
