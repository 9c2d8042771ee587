"""The seams. Each port speaks the domain, has one contract suite that all its adapters pass, and an in-memory fake."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, TypeVar

from octavo.stores.chain import AuditEvent as AuditEvent
from octavo.stores.chain import AuditTrail

if TYPE_CHECKING:
    import pyarrow as pa

    from octavo.stores.metrics import MetricPoint
    from octavo.stores.searches import Found, Search


class Record(Protocol):
    """A frozen dataclass kept in the metadata store, found by its kind and key."""

    kind: ClassVar[str]

    @property
    def key(self) -> str:
        """Unique within its kind."""


R = TypeVar("R", bound=Record)


class Transaction(AuditTrail, Protocol):
    """Reads and writes that happen together or not at all."""

    def get(self, record_type: type[R], key: str) -> R | None:
        """The record, or None."""

    def find(
        self, record_type: type[R], *, newest_first: bool = False, limit: int | None = None, **equal: object
    ) -> list[R]:
        """Records whose top-level fields equal those given, in the order in which they were first added."""

    def search(self, record_type: type[R], search: "Search") -> "Found[R]":
        """Records that fulfil conditions, in an order, some at a time."""

    def append_points(self, points: Sequence["MetricPoint"]) -> None:
        """Add to the histories of metrics; a point that is there already is passed over."""

    def points(self, run: str, name: str | None = None, *, limit: int | None = None) -> "list[MetricPoint]":
        """The history of one of a run's metrics, or of all: by name, then by `MetricPoint.place`."""

    def newest_points(self, run: str, names: Sequence[str]) -> "list[MetricPoint]":
        """The latest point of each of these metrics that has any."""

    def add(self, record: Record) -> None:
        """Add a record.

        Raises
        ------
        Conflict
            If one of its kind and key exists.
        """

    def put(self, record: Record) -> None:
        """Add or overwrite a record."""

    def replace(self, old: R, new: R) -> None:
        """Compare and swap: overwrite `old` by `new`, which has the same key.

        Raises
        ------
        Conflict
            If the stored record is no longer equal to `old`.
        """

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Of every row its kind and key (of one that is no record its table, and no key), and all texts in it."""


class Metadata(Protocol):
    """Definitions, runs, versions, releases, incidents, audit."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction; it is committed on a clean exit and rolled back on an exception.

        Raises
        ------
        Unavailable
            If the store cannot be reached or stays locked.
        """

    def close(self) -> None:
        """Release what is held."""


Relation: TypeAlias = "Sequence[str] | pa.Table"
"""What a name in a query stands for: paths of Parquet files that share one schema (at least one), or rows."""


class Engine(Protocol):
    """Runs SELECTs over files and frames; safe to use from several threads."""

    def select(
        self, sql: str, *, relations: Mapping[str, Relation], parameters: Mapping[str, object] | None = None
    ) -> "pa.Table":
        """Run one SELECT in DuckDB's dialect.

        Parameters
        ----------
        relations : mapping of the name used in `sql` to what it stands for
        parameters : named parameters, ``$name`` in `sql`

        Returns
        -------
        pa.Table
            Times are timestamp[us, tz=UTC].

        Raises
        ------
        InvalidRequest
            If it is not one SELECT, or the engine cannot run it.
        Unavailable
            If files cannot be read now, or the memory that it may use does not suffice.
        FileNotFoundError
            If a file has vanished.
        """

    def close(self) -> None:
        """Release what is held."""


class Tables(Protocol):
    """Append-only tables of columns: events, predictions, outcomes, statistics."""

    def ensure(self, table: str, schema: "pa.Schema") -> None:
        """Create the table if it is absent, and add the columns that it lacks, null in all rows; idempotent.

        Raises
        ------
        Conflict
            If it has a column that `schema` has not, or has of another type.
        """

    def append(self, table: str, rows: "pa.Table", *, writer: str, sequence: int) -> bool:
        """Append rows exactly once.

        Parameters
        ----------
        writer, sequence
            A writer numbers its appends in rising order; one whose sequence is not above the last that was written is
            already there and is passed over. Rows and sequence are committed together.

        Returns
        -------
        bool
            Whether rows were written now.
        """

    def written(self, table: str, writer: str) -> int:
        """The last sequence that a writer committed; -1 if none."""

    def version(self, table: str) -> int:
        """The table's version; rises with every commit. -1 for a table that does not exist."""

    def pin(self, table: str) -> int:
        """Keep the table as it is for ever, whatever is compacted later, so that `query` can read it by its version.

        Returns
        -------
        int
            The version; -1 for a table that does not exist.
        """

    def query(
        self,
        sql: str,
        *,
        tables: Mapping[str, str],
        frames: Mapping[str, "pa.Table"] | None = None,
        parameters: Mapping[str, object] | None = None,
        heavy: bool = False,
        versions: Mapping[str, int] | None = None,
    ) -> "pa.Table":
        """Run one SELECT in DuckDB's dialect.

        Parameters
        ----------
        tables : mapping of the name used in `sql` to a table
        frames : mapping of the name used in `sql` to rows in memory
        parameters : named parameters, ``$name`` in `sql`
        heavy : bool
            Whether it reads far more than it returns, and so goes to the engine that the project chose for such work.
            A query that someone waits for does not.
        versions : mapping of table to version
            Tables that are read as they were then; each must have been pinned. The others are read as they are.

        Raises
        ------
        NotFound
            If a table does not exist, or the version of one is not kept.
        """

    def compact(self, table: str) -> None:
        """Merge small files; changes no row."""


class OnlineStore(Protocol):
    """Small values by key, read in the request; written by one process at a time."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """One batched read, of one moment; None for an absent key."""

    def write(self, values: Mapping[bytes, bytes | None], *, marks: Mapping[str, int]) -> None:
        """Write (or, for None, delete) values and set marks, all in one atomic step."""

    def mark(self, name: str) -> int:
        """A mark set by `write`; -1 if never set."""

    def close(self) -> None:
        """Release what is held."""


class LoopReader(Protocol):
    """An online store as an event loop reads it: many lookups at a time, each for a bounded time. Read only.

    Attributes
    ----------
    retries : int
        Reads that were sent once more.
    """

    @property
    def retries(self) -> int: ...

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """One batched read, of one moment; None for an absent key.

        Raises
        ------
        Unavailable
            If the store cannot be read now, or does not answer in time.
        """

    def close(self) -> None:
        """Release what is held; lookups that still wait are refused."""


class EventStream(Protocol):
    """Durable, ordered logs of opaque payloads: one per partition of a topic, of which the first has the topic's name.

    Attributes
    ----------
    payload_bytes : int
        How large a payload may be.
    """

    @property
    def payload_bytes(self) -> int: ...

    def partitions(self, topic: str) -> tuple[str, ...]:
        """The names of a topic's logs, as `publish`, `read` and `end` take them.

        Each keeps its place; more may come behind them. One for a topic never published to is enough.
        """

    def publish(self, log: str, payloads: Sequence[bytes]) -> int:
        """Append payloads in order; when it returns they survive a crash of the machine.

        All or none where the stream is on this machine. Where it is not, some may have been appended when it raises
        Unavailable; whoever sends them again has them twice, so what is sent carries its identity.

        Returns
        -------
        int
            The offset after the last one.

        Raises
        ------
        LimitExceeded
            If one is larger than `payload_bytes`; none was appended.
        """

    def read(self, log: str, *, start: int, max_bytes: int = 8_000_000) -> list[tuple[int, bytes]]:
        """Payloads from offset `start` on with their offsets, in order; empty where none follows.

        Offsets rise, and some may stand for nothing.
        """

    def end(self, log: str) -> int:
        """The offset after the last payload; 0 for a topic never published to."""

    def topics(self) -> list[str]:
        """All topics."""

    def close(self) -> None:
        """Release what is held."""


class ConsumerGroup(Protocol):
    """The workers that share the partitions of some topics. Who reads what is decided here; what is right is not."""

    def mine(self, topic: str) -> tuple[str, ...]:
        """The partitions that this member is to carry on now, out of `EventStream.partitions`."""

    def applied(self, log: str, offset: int) -> None:
        """Tell everybody that a partition is carried on up to an offset; for people to see, and not relied upon."""

    def close(self) -> None:
        """Leave; others take over the partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBytes:
    """What an artifact takes, and when it was last put."""

    digest: str
    size_bytes: int
    put_at: datetime


class Artifacts(Protocol):
    """Immutable bytes by the digest of their content, and a few named, replaceable documents."""

    def put(self, data: bytes) -> str:
        """Keep bytes; idempotent. Returns ``sha256:<64 hex digits>``."""

    def get(self, digest: str) -> bytes:
        """The bytes of a digest, verified.

        Raises
        ------
        NotFound
            If there are none.
        IntegrityError
            If what is stored no longer matches.
        InvalidRequest
            If `digest` is no digest.
        """

    def kept(self) -> Iterator[KeptBytes]:
        """All bytes that are kept, in no order. What is put or removed meanwhile may be among them or not."""

    def remove(self, digest: str, *, unless_put_since: datetime) -> bool:
        """Remove bytes, unless they were put at this moment or later; whether they were removed.

        A `put` at the same time comes before, and they stay, or after, and they are there again.
        """

    def half_written(self, *, before: datetime, remove: bool = False) -> list[int]:
        """Sizes of what was begun to be written, by processes that were killed, and not touched since a moment.

        Parameters
        ----------
        remove : bool
            Whether to remove it too.
        """

    def publish(self, name: str, data: bytes) -> None:
        """Replace a named document, atomically."""

    def published(self, name: str) -> bytes | None:
        """The named document as last published; None if never."""

    def published_names(self, prefix: str) -> Iterator[str]:
        """Names of published documents that start with `prefix`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a person should hear of."""

    subject: str
    text: str
    at: datetime


class Notifier(Protocol):
    """Tells people."""

    def send(self, notice: Notice) -> None:
        """Deliver a notice, or log that it could not be delivered; never raises for an absent receiver."""


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The adapters that a project's URLs chose."""

    metadata: Metadata
    tables: Tables
    online: OnlineStore
    stream: EventStream
    artifacts: Artifacts
    notifier: Notifier
