"""Where a Redis is, as the URL of a store says it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from octavo.errors import ConfigurationError

SCHEMES = ("redis:", "rediss:", "unix:")
READ_TIMEOUT_S = 0.1
REMEMBERED_MB = 32

_OPTIONS = frozenset({"password", "timeout_s", "ca_file", "remember_mb"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where a Redis is, and how to speak to it.

    Attributes
    ----------
    path : str
        Of its socket; empty if it is reached by host and port.
    password : str
        A reference, ``env:NAME`` or ``file:PATH``; empty if it asks for none.
    timeout_s : float
        How long a reader waits for each step: to connect, to send, for more of an answer.
    ca_file : str
        Whose certificates vouch for the server's; empty for those that the system trusts.
    remember_mb : int
        How much memory a predictor may take for what it has read and is told to be unchanged; 0 for none.
    """

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    database: int = 0
    tls: bool = False
    user: str = ""
    password: str = ""
    timeout_s: float = READ_TIMEOUT_S
    ca_file: str = ""
    remember_mb: int = REMEMBERED_MB

    @classmethod
    def parse(cls, url: str, *, root: Path) -> Self:
        """The address in ``redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]``, ``rediss://...`` or ``unix:PATH``.

        Options may follow, as in ``?password=env:NAME&timeout_s=0.2``; the database of a socket is ``db``.

        Parameters
        ----------
        root : Path
            What relative paths are relative to.

        Raises
        ------
        ConfigurationError
            For any other URL, and for a password that is no reference. The message repeats nothing of it.
        """
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
            return cls(**_place(parts, options, root), **_manner(parts, options, root))
        except ValueError as error:
            raise ConfigurationError(
                f"stores.online is no address of a Redis: {error}; write redis://HOST:PORT/0 or unix:PATH?db=0, "
                "and ?password=env:NAME if it asks for one",
                setting="stores.online",
            ) from None

    def __str__(self) -> str:
        return f"{self.path or f'{self.host}:{self.port}'} (database {self.database})"


def _place(parts: SplitResult, options: dict[str, str], root: Path) -> dict[str, Any]:
    if parts.scheme == "unix":
        if not parts.path or parts.netloc:
            raise ValueError("a socket has a path and no host")
        return {"path": str(root / unquote(parts.path)), "database": _number(options.pop("db", "0"))}
    if not parts.hostname:
        raise ValueError("it names no host")
    return {
        "tls": parts.scheme == "rediss",
        "host": parts.hostname,
        "port": _port(parts),
        "database": _number(parts.path.removeprefix("/") or "0"),
    }


def _manner(parts: SplitResult, options: dict[str, str], root: Path) -> dict[str, Any]:
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"there is no option {unknown[0]!r} among {', '.join(sorted(_OPTIONS))}")
    password = options.get("password") or unquote(parts.password or "")
    kind, _, place = password.partition(":")
    if password and kind not in ("env", "file"):
        raise ValueError("its password is not a reference, env:NAME or file:PATH")
    timeout_s = options.get("timeout_s", str(READ_TIMEOUT_S))
    if not re.fullmatch(r"\d*\.?\d+", timeout_s) or not float(timeout_s):
        raise ValueError("its timeout_s is not a number of seconds")
    remember_mb = options.get("remember_mb", str(REMEMBERED_MB))
    if not re.fullmatch(r"\d{1,6}", remember_mb):
        raise ValueError("its remember_mb is not a number of megabytes")
    ca_file = options.get("ca_file", "")
    return {
        "user": unquote(parts.username or ""),
        "password": f"file:{root / place}" if kind == "file" else password,
        "timeout_s": float(timeout_s),
        "ca_file": str(root / ca_file) if ca_file else "",
        "remember_mb": int(remember_mb),
    }


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text):
        raise ValueError("its database is not a number")
    return int(text)


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 6379
    except ValueError:  # whose text repeats what may be a piece of a password
        raise ValueError("its port is not a number") from None
