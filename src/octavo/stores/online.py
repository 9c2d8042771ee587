"""Which online store a project's URL chooses; predictors use it too, so it imports nothing heavy."""

from functools import partial
from typing import Protocol

from octavo.config import Config
from octavo.errors import ConfigurationError
from octavo.stores.inline import InlineReader
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.ports import LoopReader, OnlineStore
from octavo.stores.redis import SCHEMES, RedisAddress, RedisLoopReader, RedisOnlineStore
from octavo.stores.reopening import ReopeningStore
from octavo.stores.urls import local_path


class OpenOnline(Protocol):
    """Opens an online store, to be read only or to be written."""

    def __call__(self, *, readonly: bool) -> OnlineStore:
        """Open it.

        Raises
        ------
        Unavailable
            If it cannot be reached now.
        """


def online_adapter(config: Config) -> OpenOnline:
    """What opens the online store of a project.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes.
    """
    url = _url(config)
    if url.startswith("lmdb:"):
        return partial(LmdbOnlineStore, local_path(config, "online", url, prefix="lmdb:"))
    return partial(RedisOnlineStore, RedisAddress.parse(url, root=config.root), project=config.project.name)


def loop_reader(config: Config) -> LoopReader:
    """What an event loop reads the online store of a project by. The store need not be there.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes.
    """
    url = _url(config)
    if url.startswith("lmdb:"):
        return InlineReader(ReopeningStore(partial(online_adapter(config), readonly=True)))
    address, timeout_s = RedisAddress.parse(url, root=config.root), config.predictor.lookup_timeout_ms / 1000
    return RedisLoopReader(address, project=config.project.name, timeout_s=timeout_s)


def _url(config: Config) -> str:
    url = config.stores.online
    if not url.startswith(("lmdb:", *SCHEMES)):
        raise ConfigurationError(
            f"stores.online = {url.partition('//')[0]!r}: there is no adapter for this; "
            "write redis://HOST:PORT/0, or write lmdb:PATH",
            setting="stores.online",
        )
    return url
