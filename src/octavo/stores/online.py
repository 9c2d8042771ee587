"""Which online store a project's URL chooses; predictors use it too, so it imports nothing heavy."""

from functools import partial
from typing import Protocol

from octavo.config import Config
from octavo.errors import ConfigurationError
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.ports import OnlineStore
from octavo.stores.redis import RedisOnlineStore
from octavo.stores.redis_address import SCHEMES, RedisAddress
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
    url = config.stores.online
    if not url.startswith(("lmdb:", *SCHEMES)):
        raise ConfigurationError(
            f"stores.online = {url.partition('//')[0]!r}: there is no adapter for this; "
            "write redis://HOST:PORT/0, or write lmdb:PATH",
            setting="stores.online",
        )
    if url.startswith("lmdb:"):
        return partial(LmdbOnlineStore, local_path(config, "online", url, prefix="lmdb:"))
    return partial(RedisOnlineStore, RedisAddress.parse(url, root=config.root), project=config.project.name)
