"""A folder that nobody is trusted with: read once, without following links, each file no larger than it should be.

Every name is opened below the folder's own descriptor, one part after the other, so that whatever is moved or linked
meanwhile, what is read lies in the folder.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from octavo.errors import IntegrityError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_AT_ONCE = 1 << 24
_MOST_ENTRIES, _DEEPEST = 10_000, 8


class Tree:
    """An open folder.

    Parameters
    ----------
    path : Path

    Raises
    ------
    IntegrityError
        If it is no folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, _FOLDER)
        except OSError as error:
            raise IntegrityError(f"bundle {path} is no folder: {error.strerror}; fetch it again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def names(self) -> set[str]:
        """All that is in it but folders that hold something; a link or a device counts, and so does an empty folder.

        Raises
        ------
        IntegrityError
            If there is more than any bundle has.
        """
        found = set()
        for name in self._below(self._descriptor, "", depth=0):
            found.add(name)
            if len(found) > _MOST_ENTRIES:
                raise IntegrityError(f"bundle {self._path} holds more than {_MOST_ENTRIES:,} files")
        return found

    def read(self, name: str, *, size_bytes: int | None = None, most_bytes: int = 1 << 40) -> bytes:
        """A file.

        Parameters
        ----------
        size_bytes : int or None
            What it must have; None if that is not known.
        most_bytes : int
            What it may have at most.

        Raises
        ------
        IntegrityError
            If it is absent, no regular file, one that has a second name elsewhere, or of another size.
        """
        descriptor = self._open(name)
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise IntegrityError(f"{name!r} of bundle {self._path} is no regular file; fetch it again")
            if about.st_nlink > 1:
                raise IntegrityError(
                    f"the file {name!r} of bundle {self._path} has another name elsewhere (a hard link), by which it "
                    "could be changed; fetch it again"
                )
            if about.st_size > most_bytes or size_bytes not in (None, about.st_size):
                raise IntegrityError(
                    f"the file {name!r} of bundle {self._path} has {about.st_size:,} bytes, which it should not; "
                    "it was changed or damaged"
                )
            return b"".join(_pieces(descriptor, about.st_size))
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        *folders, last = name.split("/")
        within = os.dup(self._descriptor)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER, dir_fd=within)
                os.close(within)
                within = inner
            return os.open(last, _FILE, dir_fd=within)
        except OSError as error:
            raise IntegrityError(f"bundle {self._path} lacks the file {name!r}; fetch it again") from error
        finally:
            os.close(within)

    def _below(self, folder: int, prefix: str, *, depth: int) -> Iterator[str]:
        for name in os.listdir(folder):
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode) or depth >= _DEEPEST:
                yield prefix + name
                continue
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                if os.listdir(inner):  # noqa: PTH208  # of a descriptor
                    yield from self._below(inner, f"{prefix}{name}/", depth=depth + 1)
                else:
                    yield f"{prefix}{name}/"
            finally:
                os.close(inner)


def _pieces(descriptor: int, size_bytes: int) -> Iterator[bytes]:
    """What is there now, and not a byte more than it was said to be."""
    left = size_bytes
    while left and (piece := os.read(descriptor, min(left, _AT_ONCE))):
        left -= len(piece)
        yield piece
