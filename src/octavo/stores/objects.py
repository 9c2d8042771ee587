"""Artifacts in an object store, or in a folder that stands for one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from octavo.errors import IntegrityError, NotFound, Unavailable
from octavo.stores.names import check_document_name, digest_of, hex_of

_DOCUMENTS = "published"


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
        with self._translated():
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
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise Unavailable(f"the artifacts in {self._path} cannot be reached now: {error}") from error


def _place(digest: str) -> str:
    digits = hex_of(digest)
    return f"sha256/{digits[:2]}/{digits}"
