"""Which adapter a URL chooses."""

from octavo.config import Config
from octavo.stores.delta import DeltaTables
from octavo.stores.log import LocalLog
from octavo.stores.notices import LogNotifier
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.online import OpenOnline, online_adapter
from octavo.stores.ownership import OwnedOnlineStore, own_online
from octavo.stores.ports import EventStream, OnlineStore, Stores
from octavo.stores.sql import SqlMetadata
from octavo.stores.urls import local_path


def open_stores(config: Config, *, writes_online: bool) -> Stores:
    """Open every store of a project, making those that are absent.

    Parameters
    ----------
    writes_online : bool
        Whether this process may write online features, which one process at a time does. A reader makes no store.

    Raises
    ------
    ConfigurationError
        For a URL of a kind that no adapter takes, or metadata of a newer release.
    Conflict
        If this process is to write online features, and another does.
    Unavailable
        If a store cannot be reached.
    """
    urls = config.stores
    metadata = local_path(config, "metadata", urls.metadata, prefix="sqlite:///")
    tables = local_path(config, "tables", urls.tables, prefix="")
    open_online = online_adapter(config)
    stream = open_stream(config)
    artifacts = local_path(config, "artifacts", urls.artifacts, prefix="file:")
    return Stores(
        metadata=SqlMetadata(f"sqlite:///{metadata}"),
        tables=DeltaTables(tables),
        online=_owned(config, open_online) if writes_online else open_online(readonly=True),
        stream=stream,
        artifacts=ObjectArtifacts(artifacts),
        notifier=LogNotifier(),
    )


def open_stream(config: Config) -> EventStream:
    """Open the event stream alone, for who reads it at a place of its own.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes.
    """
    return LocalLog(local_path(config, "stream", config.stores.stream, prefix="log:"), sync=True)


def _owned(config: Config, open_online: OpenOnline) -> OnlineStore:
    lock = own_online(config)
    try:
        return OwnedOnlineStore(open_online(readonly=False), lock)
    except BaseException:
        lock.release()
        raise
