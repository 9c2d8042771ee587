"""Artifacts in an object store, or in a folder that stands for one."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from octavo.errors import IntegrityError, NotFound, Unavailable
from octavo.stores.names import check_document_name, digest_of, hex_of
from octavo.stores.ports import KeptBytes

_BYTES, _DOCUMENTS = "sha256", "published"
_HALF = re.compile(r".+#[0-9]+")
"""The name of a file, and a number: what obstore writes before it moves it to its place, and lists nowhere."""
_PLACE = re.compile(r"sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")


class ObjectArtifacts:
    """Artifacts in a local folder: ``sha256/ab/abcd...`` by digest, ``published/NAME`` by name.

    Objects and documents are written beside their place and moved there, so none is ever seen by halves.

    Parameters
    ----------
    path : Path
        The folder; made if absent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            path.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(path)

    def put(self, data: bytes) -> str:
        """See `Artifacts.put`; what stands damaged under the same digest is mended by it."""
        digest = digest_of(data)
        with self._translated(), self._turn(fcntl.LOCK_SH):
            self._write(_place(digest), data)
        return digest

    def get(self, digest: str) -> bytes:
        """See `Artifacts.get`."""
        data = self._bytes(_place(digest))
        if data is None:
            raise NotFound("artifact", digest)
        if digest_of(data) != digest:
            raise IntegrityError(
                f"artifact {digest} in {self._path} is not what was kept; restore it, or put the original again"
            )
        return data

    def kept(self) -> Iterator[KeptBytes]:
        """See `Artifacts.kept`."""
        with self._translated():
            for batch in obstore.list(self._store, prefix=_BYTES):
                for meta in batch:
                    if match := _PLACE.fullmatch(meta["path"]):
                        digest = f"sha256:{match[2]}"
                        yield KeptBytes(digest=digest, size_bytes=meta["size"], put_at=meta["last_modified"])

    def remove(self, digest: str, *, unless_put_since: datetime) -> bool:
        """See `Artifacts.remove`; no `put` is under way in any process meanwhile."""
        path = self._path / _place(digest)
        with self._translated(), self._turn(fcntl.LOCK_EX):
            try:
                if path.stat().st_mtime >= unless_put_since.timestamp():
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def half_written(self, *, before: datetime, remove: bool = False) -> list[int]:
        """See `Artifacts.half_written`; as old as its file is, and no `put` is under way in any process meanwhile."""
        sizes = []
        with self._translated(), self._turn(fcntl.LOCK_EX if remove else fcntl.LOCK_SH):
            for path in [path for folder in (_BYTES, _DOCUMENTS) for path in (self._path / folder).rglob("*#*")]:
                try:
                    found = path.stat()
                    if not _HALF.fullmatch(path.name) or found.st_mtime >= before.timestamp():
                        continue
                    if remove:
                        path.unlink()
                except FileNotFoundError:  # a document was published just now
                    continue
                sizes.append(found.st_size)
        return sizes

    def publish(self, name: str, data: bytes) -> None:
        """See `Artifacts.publish`."""
        with self._translated():
            self._write(f"{_DOCUMENTS}/{check_document_name(name)}", data)

    def published(self, name: str) -> bytes | None:
        """See `Artifacts.published`."""
        return self._bytes(f"{_DOCUMENTS}/{check_document_name(name)}")

    def published_names(self, prefix: str) -> Iterator[str]:
        """See `Artifacts.published_names`; sorted."""
        folder = prefix.rpartition("/")[0]
        place = f"{_DOCUMENTS}/{folder}" if folder else _DOCUMENTS
        with self._translated():
            found = [meta["path"] for batch in obstore.list(self._store, prefix=place) for meta in batch]
        names = (path.removeprefix(f"{_DOCUMENTS}/") for path in found)
        return iter(sorted(name for name in names if name.startswith(prefix)))

    def _write(self, place: str, data: bytes) -> None:
        obstore.put(self._store, place, data, use_multipart=False)
        written = self._path / place
        for path in (written, written.parent):  # obstore leaves it to the system when they reach the disk
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _bytes(self, place: str) -> bytes | None:
        with self._translated():
            try:
                return obstore.get(self._store, place).bytes().to_bytes()
            except FileNotFoundError:
                return None

    @contextmanager
    def _turn(self, kind: int) -> Iterator[None]:
        """Have who puts and who removes not do so at the same time, in any process; ends with the process."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise Unavailable(f"the artifacts in {self._path} cannot be reached now: {error}") from error


def _place(digest: str) -> str:
    digits = hex_of(digest)
    return f"{_BYTES}/{digits[:2]}/{digits}"
