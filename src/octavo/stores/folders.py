"""Small files that are written once, in a folder here or below a prefix in an object store."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from octavo.config import Config
from octavo.errors import ConfigurationError, Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_LOCAL = "file:"
_ELSEWHERE = ("s3://", "gs://", "az://")
_CLIENT: "ClientConfig" = {"timeout": timedelta(seconds=10), "connect_timeout": timedelta(seconds=5)}
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}


class Folder:
    """A place for files that are never overwritten.

    Attributes
    ----------
    url : str
    """

    def __init__(self, url: str, store: ObjectStore) -> None:
        self.url = url
        self._store = store

    def add(self, name: str, data: bytes) -> None:
        """Write a file; nothing happens if it is there as it should be.

        Raises
        ------
        Conflict
            If another content stands there under its name.
        Unavailable
            If the place cannot be reached.
        """
        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            if self.read(name) != data:
                raise Conflict(f"{self.url} holds another {name} already; it is left as it is", name=name) from None
        except (BaseError, OSError) as error:
            raise self._away(error) from error

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises
        ------
        NotFound
        Unavailable
        """
        try:
            return obstore.get(self._store, name).bytes().to_bytes()
        except FileNotFoundError:
            raise NotFound("file", name) from None
        except (BaseError, OSError) as error:
            raise self._away(error) from error

    def names(self) -> list[str]:
        """All files, sorted.

        Raises
        ------
        Unavailable
        """
        try:
            return sorted(meta["path"] for batch in obstore.list(self._store) for meta in batch)
        except (BaseError, OSError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(f"{self.url} cannot be reached now: {error}")


def open_folder(config: Config, setting: str, url: str) -> Folder:
    """The folder that a setting names.

    Raises
    ------
    ConfigurationError
        For a URL of any other kind.
    Unavailable
        If a local one cannot be made.
    """
    if url.startswith(_LOCAL):
        path = (config.root / Path(url.removeprefix(_LOCAL).removeprefix("//"))).resolve()
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Unavailable(f"{setting}: {path} cannot be made: {error}") from error
        return Folder(f"file://{path}", LocalStore(path))
    if not url.startswith(_ELSEWHERE):
        raise ConfigurationError(
            f"{setting} = {url!r}: there is no adapter for this; write file:PATH or s3://BUCKET/PREFIX", setting=setting
        )
    try:
        return Folder(url, from_url(url, client_options=_CLIENT, retry_config=_RETRIES))
    except (BaseError, OSError, ValueError) as error:
        raise ConfigurationError(f"{setting} = {url!r} cannot be used: {error}", setting=setting) from error
