"""Where a Kafka is, as the URL of the stream says it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from octavo.errors import ConfigurationError

SCHEME = "kafka:"
TIMEOUT_S = 10.0

_OPTIONS = frozenset(
    {
        "partitions",
        "replicas",
        "create",
        "timeout_s",
        "payload_bytes",
        "tls",
        "ca_file",
        "user",
        "password",
        "mechanism",
    }
)
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaAddress:
    """Where a Kafka is, and how to speak to it.

    Attributes
    ----------
    servers : str
        ``host:port`` of some brokers, joined by commas; they name the others.
    prefix : str
        What the names of all topics begin with, before a dot; of a single topic its whole name.
    partitions, replicas : int
        Of a topic of events that is made here; -1 replicas are as many as the brokers say.
    create : bool
        Whether absent topics are made here; else the brokers make them, or whoever looks after them.
    timeout_s : float
        How long anything is waited for.
    payload_bytes : int
        How large a message may be; a little less than the brokers' ``message.max.bytes``.
    password : str
        A reference, ``env:NAME`` or ``file:PATH``.
    mechanism : str
        Of SASL, used where a user is given.
    """

    servers: str
    prefix: str
    partitions: int = 6
    replicas: int = -1
    create: bool = True
    timeout_s: float = TIMEOUT_S
    payload_bytes: int = 1_000_000
    tls: bool = False
    ca_file: str = ""
    user: str = ""
    password: str = ""
    mechanism: str = "SCRAM-SHA-512"

    @classmethod
    def parse(cls, url: str, *, root: Path, setting: str = "stores.stream", last: str = "PREFIX") -> Self:
        """The address in ``kafka://HOST:PORT[,HOST:PORT]/PREFIX``, with options as in ``?partitions=12&tls=yes``.

        Parameters
        ----------
        root : Path
            What relative paths are relative to.
        setting, last : str
            Where the URL stands, and what its last part is there.

        Raises
        ------
        ConfigurationError
            For any other URL, and for a password that is no reference. The message repeats nothing of it.
        """
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
            return cls(**_place(parts), **_manner(options, root))
        except ValueError as error:
            raise ConfigurationError(
                f"{setting} is no address of a Kafka: {error}; write kafka://HOST:PORT/{last}, and "
                "?user=NAME&password=env:NAME if it asks for them",
                setting=setting,
            ) from None

    def __str__(self) -> str:
        return f"{self.servers}/{self.prefix}"


def _place(parts: SplitResult) -> dict[str, Any]:
    if "@" in parts.netloc:
        raise ValueError("user and password are options")
    servers = parts.netloc.split(",")
    if not all(re.fullmatch(r"[A-Za-z0-9._\[\]:-]+:\d{1,5}", server) for server in servers):
        raise ValueError("its brokers are not HOST:PORT, joined by commas")
    prefix = unquote(parts.path.removeprefix("/"))
    if not _PREFIX.match(prefix):
        raise ValueError("it names no prefix of letters, digits, dots, hyphens and underscores")
    return {"servers": ",".join(servers), "prefix": prefix}


def _manner(options: dict[str, str], root: Path) -> dict[str, Any]:
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"there is no option {unknown[0]!r} among {', '.join(sorted(_OPTIONS))}")
    manner: dict[str, Any] = {
        name: _whole(options, name) for name in ("partitions", "payload_bytes") if name in options
    }
    manner |= {name: _yes(options, name) for name in ("create", "tls") if name in options}
    if "replicas" in options:
        manner["replicas"] = _whole(options, "replicas")
    if "timeout_s" in options:
        manner["timeout_s"] = _seconds(options["timeout_s"])
    if "ca_file" in options:
        manner["ca_file"] = str(root / options["ca_file"])
    return manner | _who(options, root)


def _who(options: dict[str, str], root: Path) -> dict[str, str]:
    user, password = options.get("user", ""), options.get("password", "")
    kind, _, place = password.partition(":")
    if bool(user) != bool(password):
        raise ValueError("a user and a password belong together")
    if password and kind not in ("env", "file"):
        raise ValueError("its password is not a reference, env:NAME or file:PATH")
    mechanism = options.get("mechanism", "SCRAM-SHA-512")
    if mechanism not in _MECHANISMS:
        raise ValueError(f"its mechanism is none of {', '.join(_MECHANISMS)}")
    return {
        "user": user,
        "password": f"file:{root / place}" if kind == "file" else password,
        "mechanism": mechanism,
    }


def _whole(options: dict[str, str], name: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", options[name]):
        raise ValueError(f"its {name} is not a number from 1 on")
    return int(options[name])


def _yes(options: dict[str, str], name: str) -> bool:
    if options[name] not in ("yes", "no"):
        raise ValueError(f"its {name} is neither yes nor no")
    return options[name] == "yes"


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d*\.?\d+", text) or not float(text):
        raise ValueError("its timeout_s is not a number of seconds")
    return float(text)
