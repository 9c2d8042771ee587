"""Tables as Delta tables in a folder, written by deltalake and read by DuckDB."""

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Transaction as Numbered
from deltalake.exceptions import DeltaError, TableNotFoundError

from octavo.errors import Conflict, IntegrityError, NotFound, Unavailable
from octavo.stores.columns import conform, plain
from octavo.stores.duckdb import DuckDB, Relation
from octavo.stores.names import check_table

SMALL_FILES = 40
FULL_FILE_BYTES = 16_000_000
_KEEP_REPLACED_H = 1
_ATTEMPTS = 5


class DeltaTables:
    """Delta tables below one folder, each in a folder of its own name.

    Writers and compactions of a table take turns by a file lock; readers take none. Every file costs every query a
    little, so a table compacts itself whenever `SMALL_FILES` appends have been made to it.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._duckdb = DuckDB(spill=root / ".spill")
        self._opened: dict[str, tuple[int, DeltaTable]] = {}
        self._appends: dict[str, int] = {}
        self._lock = threading.Lock()

    def ensure(self, table: str, schema: pa.Schema) -> None:
        """See `Tables.ensure`.

        Raises
        ------
        InvalidRequest
            For a name or a column type that tables cannot have.
        """
        wanted = plain(schema)
        with self._writing(table):
            existing = self._find(table)
            if existing is None:
                DeltaTable.create(self._folder(table), wanted)
            elif _schema(existing) != wanted:
                columns = ", ".join(f"{field.name} {field.type}" for field in _schema(existing))
                raise Conflict(f"table {table!r} exists with other columns: {columns}", table=table)

    def append(self, table: str, rows: pa.Table, *, writer: str, sequence: int) -> bool:
        """See `Tables.append`.

        Raises
        ------
        NotFound
            If the table was never ensured.
        Conflict
            If the rows do not fit it.
        Unavailable
            If the disk refuses them; none was written.
        """
        with self._writing(table):
            delta = self._existing(table)
            if sequence <= _written(delta, writer):
                return False
            fitting = conform(rows, _schema(delta), table=table)
            properties = CommitProperties(app_transactions=[Numbered(writer, sequence)])
            write_deltalake(delta, fitting, mode="append", commit_properties=properties)
            appends = self._appends[table] = self._appends.get(table, len(delta.file_uris()) - 1) + 1
            if appends >= SMALL_FILES:
                self._compact(table, delta)
            return True

    def written(self, table: str, writer: str) -> int:
        """See `Tables.written`."""
        with self._reading(table):
            delta = self._find(table)
            return -1 if delta is None else _written(delta, writer)

    def version(self, table: str) -> int:
        """See `Tables.version`."""
        with self._reading(table):
            delta = self._find(table)
            return -1 if delta is None else delta.version()

    def query(
        self,
        sql: str,
        *,
        tables: Mapping[str, str],
        frames: Mapping[str, pa.Table] | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> pa.Table:
        """See `Tables.query`. Mind that ``at`` is a word of DuckDB's own: write ``"at"``.

        Raises
        ------
        InvalidRequest
            If `sql` is not one SELECT, or DuckDB cannot run it.
        IntegrityError
            If a table's file is gone.
        Unavailable
            If files cannot be read now, or memory does not suffice.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            relations: dict[str, Relation] = {name: self._relation(table) for name, table in tables.items()}
            try:
                return self._duckdb.select(sql, relations={**relations, **(frames or {})}, parameters=parameters)
            except FileNotFoundError as error:  # a compaction may have replaced it since it was listed
                if attempt == _ATTEMPTS:
                    raise IntegrityError(f"a file of {', '.join(tables.values())} is gone: {error}") from error
        raise AssertionError("the last attempt returns or raises")

    def compact(self, table: str) -> None:
        """See `Tables.compact`."""
        with self._writing(table):
            self._compact(table, self._existing(table))

    def _compact(self, table: str, delta: DeltaTable) -> None:
        delta.optimize.compact(target_size=FULL_FILE_BYTES)
        delta.vacuum(_KEEP_REPLACED_H, dry_run=False, enforce_retention_duration=False)
        self._appends[table] = 0

    def _relation(self, table: str) -> Relation:
        with self._reading(table):
            delta = self._existing(table)
            return delta.file_uris() or _schema(delta).empty_table()

    def _folder(self, table: str) -> Path:
        return self._root / check_table(table)

    def _existing(self, table: str) -> DeltaTable:
        delta = self._find(table)
        if delta is None:
            logs = self._root.rglob("_delta_log")
            raise NotFound("table", table, [log.parent.relative_to(self._root).as_posix() for log in logs])
        return delta

    def _find(self, table: str) -> DeltaTable | None:
        """The table as it now is; None if it does not exist."""
        folder = self._folder(table)
        known, opened = self._opened.pop(table, (0, None))
        try:
            identity = (folder / "_delta_log").stat().st_ino
            if opened is not None and identity == known:
                opened.update_incremental()
            else:  # new to this process, or removed and made anew by another
                opened = DeltaTable(folder)
        except (FileNotFoundError, TableNotFoundError):
            return None
        self._opened[table] = identity, opened
        return opened

    @contextmanager
    def _reading(self, table: str) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (DeltaError, OSError) as error:
                raise Unavailable(f"table {table!r} in {self._root} cannot be used now: {error}") from error

    @contextmanager
    def _writing(self, table: str) -> Iterator[None]:
        with self._reading(table):
            locks = self._root / ".locks"
            locks.mkdir(parents=True, exist_ok=True)
            path = locks / check_table(table).replace("/", ".")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


def _schema(delta: DeltaTable) -> pa.Schema:
    return plain(pa.schema(delta.schema()))


def _written(delta: DeltaTable, writer: str) -> int:
    sequence = delta.transaction_version(writer)
    return -1 if sequence is None else sequence
