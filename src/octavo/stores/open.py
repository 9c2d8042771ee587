"""Which adapter a URL chooses."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from octavo.config import Config
from octavo.errors import ConfigurationError
from octavo.stores.delta import DeltaTables
from octavo.stores.engines import open_engines
from octavo.stores.kafka import SCHEME, KafkaAddress, KafkaGroup, KafkaStream, KafkaTopic
from octavo.stores.log import LocalLog
from octavo.stores.notices import LogNotifier
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.online import OpenOnline, online_adapter
from octavo.stores.ownership import OwnedOnlineStore, own_online
from octavo.stores.ports import ConsumerGroup, EventStream, OnlineStore, Stores
from octavo.stores.reopening import ReopeningStore
from octavo.stores.sql import SqlMetadata
from octavo.stores.sql.postgres import SCHEME as POSTGRES
from octavo.stores.sql.postgres import PostgresAddress
from octavo.stores.topics import MessageTopic
from octavo.stores.urls import local_path


def open_stores(config: Config, *, writes_online: bool) -> Stores:
    """Open every store of a project, making those that are absent.

    Parameters
    ----------
    writes_online : bool
        Whether this process may write online features, which one process at a time does. A reader makes no store, and
        opens it when it first reads: one that is away keeps nobody from starting.

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
    metadata = _metadata(config)
    tables = local_path(config, "tables", urls.tables, prefix="")
    engines = open_engines(config)
    open_online = online_adapter(config)
    stream = open_stream(config)
    published_to(config)  # a mistake in it is told to who starts the project, not to the worker's log
    artifacts = open_artifacts(config)
    return Stores(
        metadata=SqlMetadata(metadata),
        tables=DeltaTables(tables, light=engines.light, heavy=engines.heavy),
        online=_owned(config, open_online) if writes_online else ReopeningStore(partial(open_online, readonly=True)),
        stream=stream,
        artifacts=artifacts,
        notifier=LogNotifier(),
    )


def open_metadata(config: Config) -> SqlMetadata:
    """Open the metadata alone.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes, or metadata of a newer release.
    Unavailable
        If the database cannot be reached.
    """
    return SqlMetadata(_metadata(config))


def open_artifacts(config: Config) -> ObjectArtifacts:
    """Open the artifacts alone.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes.
    """
    return ObjectArtifacts(local_path(config, "artifacts", config.stores.artifacts, prefix="file:"))


def open_online(config: Config) -> OnlineStore:
    """Open the online features for writing, which one process at a time may.

    Raises
    ------
    Conflict
        If another process writes them.
    """
    return _owned(config, online_adapter(config))


def workflows_database(config: Config) -> Path | PostgresAddress:
    """Where durable workflows are noted: in a file of one worker, or where several can.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes.
    """
    url = config.stores.workflows
    if url.startswith(POSTGRES):
        return PostgresAddress.parse(url, root=config.root, setting="stores.workflows")
    return local_path(config, "workflows", url, prefix="sqlite:///")


def open_stream(config: Config) -> EventStream:
    """Open the event stream alone, for who reads it at a place of its own.

    Raises
    ------
    ConfigurationError
        For a URL that no adapter takes.
    """
    url = config.stores.stream
    if url.startswith(SCHEME):
        return KafkaStream(KafkaAddress.parse(url, root=config.root))
    if not url.startswith("log:"):
        raise ConfigurationError(
            f"stores.stream = {url.partition('//')[0]!r}: there is no adapter for this; "
            "write kafka://HOST:PORT/PREFIX, or write log:PATH",
            setting="stores.stream",
        )
    return LocalLog(local_path(config, "stream", url, prefix="log:"), sync=True)


def published_to(config: Config) -> KafkaAddress | None:
    """Where predictions are published; None where they are not.

    Raises
    ------
    ConfigurationError
        For a URL of any other kind.
    """
    url = config.predictor.publish
    if not url:
        return None
    return KafkaAddress.parse(url, root=config.root, setting="predictor.publish", last="TOPIC")


def open_published(config: Config) -> MessageTopic | None:
    """Open the topic to which predictions are published; None where they are not. Nobody is asked yet.

    Raises
    ------
    MissingExtra
        If what speaks to it is not installed.
    """
    address = published_to(config)
    return None if address is None else KafkaTopic(address)


def join_workers(config: Config, topics: Sequence[str]) -> ConsumerGroup | None:
    """Become one of the workers that share the partitions of some topics; None where a project has but one worker.

    Raises
    ------
    Unavailable
        If the topics can be neither found nor made.
    """
    url = config.stores.stream
    if not url.startswith(SCHEME):
        return None
    address = KafkaAddress.parse(url, root=config.root)
    stream = KafkaStream(address)
    try:
        for topic in topics:
            stream.prepare(topic)
    finally:
        stream.close()
    return KafkaGroup(address, name="worker", topics=topics)


def _metadata(config: Config) -> str | PostgresAddress:
    url = config.stores.metadata
    if url.startswith(POSTGRES):
        return PostgresAddress.parse(url, root=config.root)
    if not url.startswith("sqlite:"):
        raise ConfigurationError(
            f"stores.metadata = {url.partition('//')[0]!r}: there is no adapter for this; "
            "write postgresql://USER@HOST:PORT/DATABASE, or write sqlite:///PATH",
            setting="stores.metadata",
        )
    return f"sqlite:///{local_path(config, 'metadata', url, prefix='sqlite:///')}"


def _owned(config: Config, open_online: OpenOnline) -> OnlineStore:
    lock = own_online(config)
    try:
        return OwnedOnlineStore(open_online(readonly=False), lock)
    except BaseException:
        lock.release()
        raise
