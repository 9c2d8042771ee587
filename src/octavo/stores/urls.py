"""What the URLs of stores say: paths below the project's folder, and secrets by reference."""

import os
import re
from pathlib import Path

from octavo.config import Config
from octavo.errors import ConfigurationError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")


def local_path(config: Config, setting: str, url: str, *, prefix: str) -> Path:
    """The local path in a store's URL.

    Parameters
    ----------
    setting : str
        Name of the URL's setting, such as ``online``.
    prefix : str
        What the URL must begin with.

    Raises
    ------
    ConfigurationError
        For any other URL.
    """
    rest = url.removeprefix(prefix)
    if not url.startswith(prefix) or not rest or _SCHEME.match(rest):
        raise ConfigurationError(
            f"stores.{setting} = {url!r}: there is no adapter for this; write {prefix}PATH", setting=f"stores.{setting}"
        )
    return (config.root / rest).resolve()


def secret(reference: str) -> str:
    """The secret that ``env:NAME`` or ``file:PATH`` refers to, as it is now; the line break at a file's end is not its.

    Raises
    ------
    ConfigurationError
        If there is none, or `reference` is no reference. The message does not repeat what is no reference.
    """
    kind, _, place = reference.partition(":")
    if kind == "env" and place:
        value = os.environ.get(place)
        if value is None:
            raise ConfigurationError(f"the environment variable {place}, which holds a secret, is not set")
        return value
    if kind == "file" and place:
        try:
            return Path(place).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{place}, which holds a secret, cannot be read: {error}") from error
    raise ConfigurationError("a secret stands where a reference to it must; write env:NAME or file:PATH")
