"""An HTTP server as a process of a project: where it may listen, and how others learn that it does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import uvicorn

from octavo.errors import ConfigurationError
from octavo.processes import announce, withdraw


class Address(Protocol):
    """The settings that say where to listen: `ControlSettings`, `PredictorSettings`."""

    @property
    def host(self) -> str:
        """Name or number."""

    @property
    def port(self) -> int:
        """0 takes a free one."""

    @property
    def behind_proxy(self) -> bool:
        """Whether a proxy with TLS is in front."""


class AnnouncingServer(uvicorn.Server):
    """Announces its process once it listens, and takes that back at the end.

    Parameters
    ----------
    config : uvicorn.Config
    home : Path
        The project's platform folder.
    name : str
        Of the process.
    listening : socket
        Bound already.

    Attributes
    ----------
    grpc_port : int
        Where the process speaks gRPC besides; 0 if it does not.
    """

    grpc_port = 0

    def __init__(self, config: uvicorn.Config, *, home: Path, name: str, listening: socket.socket) -> None:
        super().__init__(config)
        self._home = home
        self._name = name
        self._listening = listening

    def serve_until_told(self) -> None:
        """Serve until SIGTERM or SIGINT; requests under way are answered first."""
        try:
            self.run(sockets=[self._listening])
        finally:
            withdraw(self._home, self._name)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._listening.getsockname()[:2]
        announce(self._home, self._name, host=host, port=port, grpc_port=self.grpc_port)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but without raising the signal again, which would end the process untidied."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def listen(section: str, address: Address, *, setting: str = "port", shared: bool = False) -> socket.socket:
    """Take an address, so that it is known before anything is announced.

    Parameters
    ----------
    setting : str
        The setting that the port comes from.
    shared : bool
        Whether other processes of the same user listen there too; connections are shared out among them.

    Raises
    ------
    ConfigurationError
        If it cannot be had, or must not be without TLS.
    """
    check_exposure(section, address)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((address.host, address.port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"[{section}] cannot listen on {address.host}:{address.port}: {error.strerror}. Stop what does, or choose "
            f"another port in octavo.toml or with OCTAVO_{section.upper()}_{setting.upper()} (0 takes a free one)"
        ) from error
    return listening


def check_exposure(section: str, address: Address) -> None:
    """Refuse to listen beyond this machine in the clear.

    Raises
    ------
    ConfigurationError
        If the host is not a loopback address and no proxy is stated to be in front.
    """
    if not is_loopback(address.host) and not address.behind_proxy:
        raise ConfigurationError(
            f"[{section}] host {address.host!r} can be reached from other machines, and tokens would cross the network "
            f"in the clear; put a proxy with TLS in front and set behind_proxy = true, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
