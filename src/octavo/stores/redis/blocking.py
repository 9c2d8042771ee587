"""One connection to a Redis for who may wait for it."""

import select
import socket
import ssl
from typing import Any

from octavo.stores.redis.address import RedisAddress
from octavo.stores.redis.session import endpoint, greeting, protocol_library

_RECEIVE_BYTES = 1 << 16


class Refused(Exception):
    """The server has answered a command with an error, whose text this is."""


class BlockingConnection:
    """Connects, is known to the server and has chosen its database; each step takes `timeout_s` at most.

    After any error it must be closed, since replies may still be on their way.

    Parameters
    ----------
    address : RedisAddress
    timeout_s : float

    Raises
    ------
    OSError
        If the server cannot be reached, or does not answer in time.
    Refused
        If it does not take the user or password.
    ConfigurationError
        If the password is not where the address says.
    """

    def __init__(self, address: RedisAddress, *, timeout_s: float) -> None:
        hiredis = protocol_library()
        self._pack = hiredis.pack_command
        self._reader = hiredis.Reader()
        self._errors: tuple[type[Exception], type[Exception]] = (hiredis.ReplyError, hiredis.ProtocolError)
        commands = greeting(address)
        self._socket = _connected(address, timeout_s=timeout_s)
        try:
            self.ask(*commands)
        except BaseException:
            self.close()
            raise

    @property
    def is_idle(self) -> bool:
        """Whether it stands, and nothing has come that nobody asked for."""
        return not select.select([self._socket], [], [], 0)[0]

    def ask(self, *commands: tuple[bytes, ...]) -> list[Any]:
        """Send commands together; their replies in order.

        Raises
        ------
        OSError
            If the connection is lost (`ConnectionError`) or the server does not answer in time.
        Refused
            If the reply to one is an error.
        """
        packed = [self._pack(command) for command in commands]
        self._socket.sendall(packed[0] if len(packed) == 1 else b"".join(packed))
        return [self._reply() for _ in commands]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __del__(self) -> None:
        if hasattr(self, "_socket"):  # it may not have come to be
            self._socket.close()

    def _reply(self) -> Any:
        reader = self._reader
        try:
            while (reply := reader.gets()) is False:
                reader.feed(self._socket.recv(_RECEIVE_BYTES) or _ended())
        except self._errors[1] as error:
            raise Refused(f"it does not speak the protocol: {error}") from error
        if isinstance(reply, self._errors[0]):
            raise Refused(str(reply))
        return reply


def _ended() -> bytes:
    raise ConnectionResetError("it has ended the connection")


def _connected(address: RedisAddress, *, timeout_s: float) -> socket.socket:
    place = endpoint(address)
    if address.path:
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(timeout_s)
        try:
            local.connect(address.path)
        except BaseException:
            local.close()
            raise
        return local
    plain = socket.create_connection((address.host, address.port), timeout=timeout_s)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context: ssl.SSLContext | None = place.get("ssl")
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise
