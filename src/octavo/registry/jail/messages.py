"""What is said to the process of a pickle, and by it: numbers and text, each message after its length."""

import socket
import struct

import msgspec

LENGTH = struct.Struct("<I")
SHAPE = struct.Struct("<II")
ANSWERED, FAILED = b"\x00", b"\x01"
"""How an answer begins: then come float64s, or the reason."""

LONGEST_REASON = 1_000


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What a process begins with.

    Attributes
    ----------
    data : bytes
        The pickle.
    modules : tuple of (str, bytes)
        The project's modules that it may refer to, by the names that they had when it was made, and their source.
    hidden : tuple of str
        Folders of which it is to see nothing.
    columns : tuple of str
        What the model takes; with `categories` it is given a frame.
    categories : dict of column to words
    """

    data: bytes
    modules: tuple[tuple[str, bytes], ...]
    hidden: tuple[str, ...]
    memory_bytes: int
    columns: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    is_binary: bool


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The first that a process says.

    Attributes
    ----------
    walls : tuple of str
        Which stand: ``network``, ``files``, ``processes``, ``privileges``, ``memory``.
    reason : str
        Why it is not ready; empty if it is.
    """

    walls: tuple[str, ...] = ()
    reason: str = ""


def send(connection: socket.socket, message: bytes) -> None:
    """Send one message."""
    connection.sendall(LENGTH.pack(len(message)) + message)


def receive(connection: socket.socket, *, longest: int) -> bytes | None:
    """The next message; None if the other side is gone.

    Raises
    ------
    ValueError
        If it says that it is longer than any is.
    """
    head = _exactly(connection, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    if length > longest:
        raise ValueError(f"a message of {length:,} bytes")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    read = bytearray()
    while len(read) < size:
        piece = connection.recv(min(size - len(read), 1 << 20))
        if not piece:
            return None
        read += piece
    return bytes(read)
