"""Which adapter a URL chooses."""

import re
from pathlib import Path

from octavo.config import Config
from octavo.errors import ConfigurationError
from octavo.stores.delta import DeltaTables
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from octavo.stores.notices import LogNotifier
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.ports import Stores
from octavo.stores.sql import SqlMetadata

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")


def open_stores(config: Config) -> Stores:
    """Open every store of a project, making those that are absent.

    Raises
    ------
    ConfigurationError
        For a URL of a kind that no adapter takes, or metadata of a newer release.
    Unavailable
        If a store cannot be reached.
    """
    urls = config.stores
    metadata = _path(config, "metadata", urls.metadata, prefix="sqlite:///")
    tables = _path(config, "tables", urls.tables, prefix="")
    online = _path(config, "online", urls.online, prefix="lmdb:")
    stream = _path(config, "stream", urls.stream, prefix="log:")
    artifacts = _path(config, "artifacts", urls.artifacts, prefix="file:")
    return Stores(
        metadata=SqlMetadata(f"sqlite:///{metadata}"),
        tables=DeltaTables(tables),
        online=LmdbOnlineStore(online),
        stream=LocalLog(stream, sync=True),
        artifacts=ObjectArtifacts(artifacts),
        notifier=LogNotifier(),
    )


def _path(config: Config, setting: str, url: str, *, prefix: str) -> Path:
    """The local path in a store's URL, which must begin with the prefix of the one adapter there is."""
    rest = url.removeprefix(prefix)
    if not url.startswith(prefix) or not rest or _SCHEME.match(rest):
        raise ConfigurationError(
            f"stores.{setting} = {url!r}: there is no adapter for this; write {prefix}PATH", setting=f"stores.{setting}"
        )
    return (config.root / rest).resolve()
