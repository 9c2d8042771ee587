"""Online features in LMDB: other processes read them straight from shared memory, without asking anyone."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import lmdb

from octavo.errors import Conflict, Unavailable
from octavo.stores.remembered import Name, Remembered

MAP_BYTES = 16 * 1024**3
_LONGEST_KEY = 500
_MAX_READERS = 1024
_REMEMBERED_BYTES = 8_000_000


class LmdbOnlineStore:
    """An online store in a folder.

    A write survives the death of the process at once, and a crash of the machine only when the system has flushed it:
    what stands here can always be made again from the tables.

    Parameters
    ----------
    path : Path
        The folder; a writer makes it.
    readonly : bool
        Whether this process only reads. Where there is no store its reader finds nothing, and notices within
        `look_every_s` seconds if one is removed or put in another's place. It remembers what it found, up to some
        megabytes, for as long as nothing is written.
    map_bytes : int
        Address space set aside; doubled whenever the values outgrow it.
    look_every_s : float
        To look costs as much as to read three values.
    """

    def __init__(
        self,
        path: Path,
        readonly: bool = False,
        *,
        map_bytes: int = MAP_BYTES,
        look_every_s: float = 0.05,
    ) -> None:
        self._path = path
        self._readonly = readonly
        self._map_bytes = map_bytes
        self._look_every_s = look_every_s
        self._look_at_s = 0.0
        self._lock = threading.RLock()  # the map must not grow while a thread reads
        self._environment: lmdb.Environment | None = None
        self._file: tuple[int, int] | None = None
        self._remembered = Remembered(_REMEMBERED_BYTES)
        self._version = -1  # of what is remembered
        if not readonly:
            self._open()

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.read`.

        Raises
        ------
        Unavailable
            If the store cannot be read now.
        """
        return self._read(keys, _value_key)

    def write(self, values: Mapping[bytes, bytes | None], *, marks: Mapping[str, int]) -> None:
        """See `OnlineStore.write`.

        Raises
        ------
        Conflict
            If the store was opened to be read only.
        Unavailable
            If the disk refuses the values; none was written.
        """
        environment = self._environment
        if self._readonly or environment is None:
            raise Conflict(f"{self._path} was opened to be read only; write where it was opened for writing")
        changes = [(_value_key(key), value) for key, value in values.items()]
        changes += [(_mark_key(name), b"%d" % mark) for name, mark in marks.items()]
        changes.sort(key=lambda change: change[0])
        with self._lock, self._translated():
            while not _written(environment, changes):
                self._map_bytes = 2 * max(self._map_bytes, environment.info()["map_size"])
                environment.set_mapsize(self._map_bytes)

    def mark(self, name: str) -> int:
        """See `OnlineStore.mark`."""
        value = self._read([name], _mark_key)[0]
        return -1 if value is None else int(value)

    def close(self) -> None:
        """Flush, if it writes, and release the files."""
        with self._lock:
            environment, self._environment, self._version = self._environment, None, -1
            self._remembered.clear()
            if environment is not None:
                if not self._readonly:
                    environment.sync(True)
                environment.close()

    def _read(self, names: Sequence[Name], key_of: Callable[[Name], bytes]) -> list[bytes | None]:
        with self._lock:
            if self._readonly and (now_s := time.monotonic()) >= self._look_at_s:
                self._look_at_s = now_s + self._look_every_s
                if self._environment is not None and self._standing() != self._file:
                    self.close()
            environment = self._environment or self._open()
            if environment is None:
                return [None] * len(names)
            try:
                return self._values(environment, names, key_of)
            except lmdb.MapResizedError:
                with self._translated():
                    environment.set_mapsize(0)  # adopts the size that the writer gave it
                    return self._values(environment, names, key_of)
            except (lmdb.Error, OSError) as error:
                raise self._unavailable(error) from error

    def _values(
        self, environment: lmdb.Environment, names: Sequence[Name], key_of: Callable[[Name], bytes]
    ) -> list[bytes | None]:
        with environment.begin() as transaction:
            if not self._readonly:
                return [transaction.get(key_of(name)) for name in names]
            known = self._remembered
            if (version := transaction.id()) != self._version:
                known.clear()
                self._version = version
            try:
                return list(map(known.__getitem__, names))
            except KeyError:
                fresh = {name: transaction.get(key_of(name)) for name in names if name not in known}
                found = [fresh[name] if name in fresh else known[name] for name in names]
                known.keep(fresh)
                return found

    def _open(self) -> lmdb.Environment | None:
        with self._lock, self._translated():
            if self._environment is not None:
                return self._environment
            if self._readonly and self._standing() is None:
                return None
            self._path.parent.mkdir(parents=True, exist_ok=True)
            opened = lmdb.open(
                str(self._path),
                map_size=self._map_bytes,
                readonly=self._readonly,
                create=not self._readonly,
                sync=False,
                readahead=False,
                max_readers=_MAX_READERS,
            )
            opened.reader_check()  # readers that were killed would keep old pages from being reused
            self._environment, self._file = opened, self._standing()
            return opened

    def _standing(self) -> tuple[int, int] | None:
        """Device and inode of the file that stands there now; None if there is none."""
        try:
            status = os.stat(f"{self._path}/data.mdb")  # noqa: PTH116 - in every request, and a Path is twice as slow
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(f"the online store at {self._path} cannot be used now: {error}")


def _written(environment: lmdb.Environment, changes: Sequence[tuple[bytes, bytes | None]]) -> bool:
    """Make all changes or, where the map is too small for them, none."""
    try:
        with environment.begin(write=True) as transaction:
            for key, value in changes:
                if value is None:
                    transaction.delete(key)
                else:
                    transaction.put(key, value)
    except lmdb.MapFullError:
        return False
    return True


def _value_key(key: bytes) -> bytes:
    """The key as LMDB holds it, which takes 511 bytes; the first byte keeps the kinds of keys apart."""
    return b"v" + key if len(key) < _LONGEST_KEY else b"h" + blake2b(key).digest()


def _mark_key(name: str) -> bytes:
    return b"m" + name.encode()
