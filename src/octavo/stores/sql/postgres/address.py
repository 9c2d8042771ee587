"""Where a PostgreSQL is, as the URL of a store says it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from octavo.errors import ConfigurationError

SCHEME = "postgresql:"
TIMEOUT_S = 5.0

_OPTIONS = frozenset({"password", "schema", "timeout_s", "connections", "tls", "ca_file"})
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """Where a PostgreSQL is, and how to speak to it.

    Attributes
    ----------
    user : str
        Empty for whom the process runs as.
    password : str
        A reference, ``env:NAME`` or ``file:PATH``; empty if it asks for none.
    schema : str
        In which the tables are; projects that share a database have each their own.
    timeout_s : float
        How long to wait for a connection, or for the answer to anything.
    connections : int
        How many a process may have at once.
    tls : bool
        Whether to speak TLS, and to nobody whose certificate does not hold.
    ca_file : str
        Whose certificates vouch for the server's; empty for those that the system trusts.
    """

    host: str
    port: int = 5432
    database: str
    user: str = ""
    password: str = ""
    schema: str = "octavo"
    timeout_s: float = TIMEOUT_S
    connections: int = 10
    tls: bool = False
    ca_file: str = ""

    @classmethod
    def parse(cls, url: str, *, root: Path, setting: str = "stores.metadata") -> Self:
        """The address in ``postgresql://[USER@]HOST[:PORT]/DATABASE``.

        Options may follow, as in ``?password=env:NAME&schema=trips``.

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
            return cls(**_place(parts), **_manner(parts, options, root))
        except ValueError as error:
            raise ConfigurationError(
                f"{setting} is no address of a PostgreSQL: {error}; write postgresql://USER@HOST:PORT/DATABASE, and "
                "?password=env:NAME if it asks for one",
                setting=setting,
            ) from None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database} (schema {self.schema})"


def _place(parts: SplitResult) -> dict[str, Any]:
    if parts.scheme != "postgresql":
        raise ValueError("it does not begin with postgresql://")
    if not parts.hostname:
        raise ValueError("it names no host")
    if not _HOST.fullmatch(parts.hostname):
        raise ValueError("its host is no name or address")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise ValueError("it names no database")
    return {"host": parts.hostname, "port": _port(parts), "database": database}


def _manner(parts: SplitResult, options: dict[str, str], root: Path) -> dict[str, Any]:
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"there is no option {unknown[0]!r} among {', '.join(sorted(_OPTIONS))}")
    password = options.get("password") or unquote(parts.password or "")
    kind, _, place = password.partition(":")
    if password and (kind not in ("env", "file") or not place):
        raise ValueError("its password is not a reference, env:NAME or file:PATH")
    schema = options.get("schema", "octavo")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ValueError("its schema is not up to 40 small letters, digits and underscores")
    timeout_s = options.get("timeout_s", str(TIMEOUT_S))
    if not re.fullmatch(r"\d{0,4}\.?\d{1,4}", timeout_s) or float(timeout_s) < 0.1:
        raise ValueError("its timeout_s is not a number of seconds from 0.1 on")
    connections = options.get("connections", "10")
    if not re.fullmatch(r"[1-9]\d{0,2}", connections):
        raise ValueError("its connections are not a number from 1 to 999")
    if options.get("tls", "no") not in ("yes", "no"):
        raise ValueError("its tls is neither yes nor no")
    ca_file = options.get("ca_file", "")
    return {
        "user": unquote(parts.username or ""),
        "password": f"file:{root / place}" if kind == "file" else password,
        "schema": schema,
        "timeout_s": float(timeout_s),
        "connections": int(connections),
        "tls": options.get("tls") == "yes" or bool(ca_file),
        "ca_file": str(root / ca_file) if ca_file else "",
    }


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 5432
    except ValueError:  # whose text repeats what may be a piece of a password
        raise ValueError("its port is not a number") from None
