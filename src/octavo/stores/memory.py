"""Every port in memory: for tests, and to show what each port means in the fewest lines."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from zlib import crc32

import pyarrow as pa

from octavo.errors import Conflict, IntegrityError, NotFound
from octavo.stores.chain import ALL, AuditEntry, AuditEvent, AuditFilter, AuditHead, head_at, link, row_of
from octavo.stores.columns import added_columns, conform, plain
from octavo.stores.metrics import MetricPoint, latest
from octavo.stores.names import check_document_name, check_table, check_topic, digest_of, hex_of
from octavo.stores.partitions import check_sizes, partition_names, split_partition
from octavo.stores.ports import Engine, KeptBytes, Notice, R, Record, Transaction
from octavo.stores.records import Body, conditions, decode, encode
from octavo.stores.searched import searched
from octavo.stores.searches import Found, Search
from octavo.stores.topics import Message


class MemoryTransaction:
    """Works on copies, which the store adopts when the transaction ends well."""

    def __init__(
        self, records: dict[tuple[str, str], Body], audit: list[AuditEntry], points: Sequence[MetricPoint] = ()
    ) -> None:
        self.records = records
        self.entries = audit
        self.metric_points = list(points)

    def get(self, record_type: type[R], key: str) -> R | None:
        body = self.records.get((record_type.kind, key))
        return None if body is None else decode(record_type, body)

    def find(
        self, record_type: type[R], *, newest_first: bool = False, limit: int | None = None, **equal: object
    ) -> list[R]:
        wanted = conditions(record_type, equal).items()
        bodies = reversed(self.records.items()) if newest_first else iter(self.records.items())
        found = (
            decode(record_type, body)
            for (kind, _), body in bodies
            if kind == record_type.kind and all(body.get(name) == value for name, value in wanted)
        )
        return list(islice(found, limit))

    def search(self, record_type: type[R], search: Search) -> Found[R]:
        bodies = [body for (kind, _), body in self.records.items() if kind == record_type.kind]
        places, last = searched(bodies, search)
        return Found(records=[decode(record_type, bodies[place]) for place in places], last=last)

    def append_points(self, points: Sequence[MetricPoint]) -> None:
        self.metric_points += points

    def points(self, run: str, name: str | None = None, *, limit: int | None = None) -> list[MetricPoint]:
        wanted = {(p.name, p.place): p for p in self.metric_points if p.run == run and name in (None, p.name)}
        return [wanted[key] for key in sorted(wanted)][:limit]

    def newest_points(self, run: str, names: Sequence[str]) -> list[MetricPoint]:
        return [point for (_, name), point in latest(self.points(run)).items() if name in names]

    def add(self, record: Record) -> None:
        if (record.kind, record.key) in self.records:
            raise Conflict(f"{record.kind} {record.key!r} is there already", kind=record.kind, key=record.key)
        self.put(record)

    def put(self, record: Record) -> None:
        self.records[record.kind, record.key] = encode(record)

    def replace(self, old: R, new: R) -> None:
        stored = self.get(type(old), old.key)
        if stored is None or encode(stored) != encode(old):
            raise Conflict(f"{old.kind} {old.key!r} has changed meanwhile; read it again", kind=old.kind, key=old.key)
        self.put(new)

    def texts(self) -> Iterator[tuple[str, str, str]]:
        for (kind, key), body in self.records.items():
            yield kind, key, f"{key}\n{json.dumps(body)}"
        for entry in self.entries:
            yield "audit", "", "\n".join(map(str, row_of(entry).values()))
        for point in self.metric_points:
            yield "metric_points", "", f"{point.run}\n{point.name}"

    def append_audit(self, event: AuditEvent) -> None:
        self.entries.append(link(event, self.audit_head()))

    def audit(self, *, newest_first: bool = True, limit: int = 100, only: AuditFilter = ALL) -> list[AuditEvent]:
        entries = reversed(self.entries) if newest_first else iter(self.entries)
        return list(islice((entry.event for entry in entries if only.takes(entry.event)), limit))

    def audit_entries(self, *, after: int = 0, limit: int = 1_000) -> list[AuditEntry]:
        return self.entries[after : after + limit]

    def audit_head(self) -> AuditHead:
        return head_at(self.entries[-1]) if self.entries else AuditHead()


class MemoryMetadata:
    """Metadata for one process; one transaction at a time."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Body] = {}
        self._audit: list[AuditEntry] = []
        self._points: list[MetricPoint] = []
        self._lock = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self._owner == threading.get_ident():
            raise RuntimeError("a transaction is open in this thread already; use that one")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                tx = MemoryTransaction(dict(self._records), list(self._audit), self._points)
                yield tx
                self._records, self._audit, self._points = tx.records, tx.entries, tx.metric_points
            finally:
                self._owner = None

    def close(self) -> None:
        """Nothing is held."""


class MemoryTables:
    """Tables of one process, queried by DuckDB.

    Parameters
    ----------
    heavy : Engine or None
        What runs heavy queries, if not DuckDB too.
    """

    def __init__(self, *, heavy: Engine | None = None) -> None:
        from octavo.stores.duckdb import DuckDB  # not every store of this module needs it

        self._tables: dict[str, pa.Table] = {}
        self._pinned: dict[tuple[str, int], pa.Table] = {}
        self._versions: dict[str, int] = {}
        self._written: dict[tuple[str, str], int] = {}
        self._duckdb = DuckDB()
        self._heavy = heavy or self._duckdb
        self._lock = threading.Lock()

    def ensure(self, table: str, schema: pa.Schema) -> None:
        check_table(table)
        wanted = plain(schema)
        with self._lock:
            existing = self._tables.get(table)
            if existing is None:
                self._tables[table] = wanted.empty_table()
                self._versions[table] = 0
                return
            for field in added_columns(existing.schema, wanted, table=table):
                existing = existing.append_column(field, pa.nulls(existing.num_rows, field.type))
                self._tables[table] = existing
                self._versions[table] += 1

    def append(self, table: str, rows: pa.Table, *, writer: str, sequence: int) -> bool:
        with self._lock:
            existing = self._existing(table)
            if sequence <= self._written.get((table, writer), -1):
                return False
            fitting = conform(rows, existing.schema, table=table)
            self._tables[table] = pa.concat_tables([existing, fitting])
            self._written[table, writer] = sequence
            self._versions[table] += 1
            return True

    def written(self, table: str, writer: str) -> int:
        return self._written.get((table, writer), -1)

    def version(self, table: str) -> int:
        return self._versions.get(table, -1)

    def pin(self, table: str) -> int:
        version = self.version(table)
        if version >= 0:
            self._pinned[table, version] = self._tables[table]
        return version

    def query(
        self,
        sql: str,
        *,
        tables: Mapping[str, str],
        frames: Mapping[str, pa.Table] | None = None,
        parameters: Mapping[str, object] | None = None,
        heavy: bool = False,
        versions: Mapping[str, int] | None = None,
    ) -> pa.Table:
        asked = versions or {}
        relations = {name: self._existing(table, version=asked.get(table)) for name, table in tables.items()}
        engine = self._heavy if heavy else self._duckdb
        return engine.select(sql, relations={**relations, **(frames or {})}, parameters=parameters)

    def compact(self, table: str) -> None:
        self._tables[table] = self._existing(table).combine_chunks()

    def _existing(self, table: str, *, version: int | None = None) -> pa.Table:
        if table not in self._tables:
            raise NotFound("table", table, self._tables)
        if version is None:
            return self._tables[table]
        if (table, version) not in self._pinned:
            raise NotFound("table version", f"{table}@{version}")
        return self._pinned[table, version]


class MemoryOnlineStore:
    """Values in a dict."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._marks: dict[str, int] = {}
        self._lock = threading.Lock()

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._lock:
            return [self._values.get(key) for key in keys]

    def write(self, values: Mapping[bytes, bytes | None], *, marks: Mapping[str, int]) -> None:
        with self._lock:
            for key, value in values.items():
                if value is None:
                    self._values.pop(key, None)
                else:
                    self._values[key] = bytes(value)
            self._marks.update(marks)

    def mark(self, name: str) -> int:
        return self._marks.get(name, -1)

    def close(self) -> None:
        """Nothing is held."""


class MemoryEventStream:
    """Logs as lists.

    Parameters
    ----------
    partitions : int
        Of each topic; may be raised at any time.
    payload_bytes : int
    """

    def __init__(self, *, partitions: int = 1, payload_bytes: int = 1_000_000_000) -> None:
        self.partition_count = partitions
        self.payload_bytes = payload_bytes
        self._logs: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()

    def partitions(self, topic: str) -> tuple[str, ...]:
        return partition_names(check_topic(topic), self.partition_count)

    def publish(self, log: str, payloads: Sequence[bytes]) -> int:
        split_partition(log)
        check_sizes(payloads, most=self.payload_bytes)
        with self._lock:
            if payloads:
                self._logs.setdefault(log, []).extend(bytes(payload) for payload in payloads)
            return len(self._logs.get(log, ()))

    def read(self, log: str, *, start: int, max_bytes: int = 8_000_000) -> list[tuple[int, bytes]]:
        split_partition(log)
        payloads = self._logs.get(log, [])
        if not 0 <= start <= len(payloads):
            raise IntegrityError(f"{log!r} holds offsets 0 to {len(payloads)}, and {start} was asked for")
        found: list[tuple[int, bytes]] = []
        size = 0
        for offset in range(start, len(payloads)):
            size += len(payloads[offset])
            if found and size > max_bytes:
                break
            found.append((offset, payloads[offset]))
        return found

    def end(self, log: str) -> int:
        split_partition(log)
        return len(self._logs.get(log, ()))

    def topics(self) -> list[str]:
        return sorted({split_partition(log)[0] for log in self._logs})

    def close(self) -> None:
        """Nothing is held."""


class MemoryTopic:
    """See `MessageTopic`.

    Attributes
    ----------
    messages : list of list of Message
        By partition.
    """

    def __init__(self, *, partitions: int = 1, payload_bytes: int = 1_000_000) -> None:
        self.messages: list[list[Message]] = [[] for _ in range(partitions)]
        self.payload_bytes = payload_bytes
        self._ends: dict[int, int] = {}

    def identity(self) -> str:
        return f"memory/{id(self)}"

    def ends(self) -> dict[int, int]:
        return {partition: len(kept) for partition, kept in enumerate(self.messages)}

    def places(self, since: Mapping[int, int], *, sender: str) -> set[str]:
        later = (one for partition, kept in enumerate(self.messages) for one in kept[since.get(partition, 0) :])
        return {one.place for one in later if one.place.startswith(f"{sender}/")}

    def send(self, messages: Sequence[Message]) -> None:
        self._ends = {}
        for message in messages:
            partition = crc32(message.key.encode()) % len(self.messages)
            self.messages[partition].append(message)
            self._ends[partition] = len(self.messages[partition])

    def wait(self, timeout_s: float) -> dict[int, int] | None:
        return self._ends

    def trouble(self) -> str:
        return "none"

    def close(self) -> None:
        """Nothing is held."""


class MemoryArtifacts:
    """Bytes in dicts.

    Attributes
    ----------
    put_at : dict of str to datetime
        When each was last put, by its digest.
    """

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}
        self._documents: dict[str, bytes] = {}
        self.put_at: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        with self._lock:
            self._bytes[digest] = bytes(data)
            self.put_at[digest] = datetime.now(UTC)
        return digest

    def get(self, digest: str) -> bytes:
        hex_of(digest)
        if digest not in self._bytes:
            raise NotFound("artifact", digest)
        return self._bytes[digest]

    def kept(self) -> Iterator[KeptBytes]:
        with self._lock:
            kept = [(digest, len(data), self.put_at[digest]) for digest, data in self._bytes.items()]
        return (KeptBytes(digest=digest, size_bytes=size, put_at=at) for digest, size, at in kept)

    def remove(self, digest: str, *, unless_put_since: datetime) -> bool:
        hex_of(digest)
        with self._lock:
            if digest not in self._bytes or self.put_at[digest] >= unless_put_since:
                return False
            del self._bytes[digest], self.put_at[digest]
        return True

    def half_written(self, *, before: datetime, remove: bool = False) -> list[int]:
        return []

    def publish(self, name: str, data: bytes) -> None:
        self._documents[check_document_name(name)] = bytes(data)

    def published(self, name: str) -> bytes | None:
        return self._documents.get(check_document_name(name))

    def published_names(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in self._documents if name.startswith(prefix)))


class MemoryNotifier:
    """Keeps what was sent, in `sent`."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []

    def send(self, notice: Notice) -> None:
        self.sent.append(notice)
