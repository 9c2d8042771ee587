"""Tables as Delta tables in a folder, written by deltalake and read by an engine."""

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Transaction as Numbered
from deltalake.exceptions import DeltaError, TableNotFoundError

from octavo.errors import IntegrityError, NotFound, Unavailable
from octavo.stores.columns import added_columns, conform, plain
from octavo.stores.duckdb import DuckDB
from octavo.stores.names import check_table
from octavo.stores.ports import Engine, Relation

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
    light : Engine or None
        What runs queries; DuckDB unless given.
    heavy : Engine or None
        What runs heavy ones; the same unless given.
    """

    def __init__(self, root: Path, *, light: Engine | None = None, heavy: Engine | None = None) -> None:
        self._root = root
        self._light = light or DuckDB(spill=root / ".spill")
        self._heavy = heavy or self._light
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
            elif added := added_columns(_schema(existing), wanted, table=table):
                _widen(existing, added)

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
            appends = self._appends[table] = self._appends.get(table, len(_files(delta)) - 1) + 1
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

    def pin(self, table: str) -> int:
        """See `Tables.pin`. Its files get a second name, which no compaction removes; that costs nothing until then."""
        if self.version(table) < 0:
            return -1
        with self._writing(table):
            delta = self._existing(table)
            pinned = self._pinned(table, delta.version())
            if not pinned.exists():
                with tempfile.TemporaryDirectory(dir=self._folder(table), prefix="_pinning_") as scratch:
                    _link(_files(delta), folder=Path(scratch) / "files")
                    pinned.parent.mkdir(exist_ok=True)
                    (Path(scratch) / "files").rename(pinned)
            return delta.version()

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
        """See `Tables.query`. Mind that ``at`` is a word of DuckDB's own: write ``"at"``.

        Raises
        ------
        InvalidRequest
            If `sql` is not one SELECT, or the engine cannot run it.
        IntegrityError
            If a table's file is gone.
        Unavailable
            If files cannot be read now, or memory does not suffice.
        """
        engine = self._heavy if heavy else self._light
        for attempt in range(1, _ATTEMPTS + 1):
            relations = {name: self._relation(table, (versions or {}).get(table)) for name, table in tables.items()}
            try:
                return engine.select(sql, relations={**relations, **(frames or {})}, parameters=parameters)
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

    def _relation(self, table: str, version: int | None) -> Relation:
        with self._reading(table):
            delta = self._existing(table)
            files = _files(delta) if version is None else self._files_of(table, version)
            return files or _schema(delta).empty_table()

    def _folder(self, table: str) -> Path:
        return self._root / check_table(table)

    def _files_of(self, table: str, version: int) -> list[str]:
        pinned = self._pinned(table, version)
        if not pinned.is_dir():
            raise NotFound("table version", f"{table}@{version}")
        return sorted(str(file) for file in pinned.iterdir())

    def _pinned(self, table: str, version: int) -> Path:
        """Where the files of a version are kept; Delta passes over what starts with an underscore."""
        return self._folder(table) / "_pinned" / str(version)

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


def _link(files: Sequence[str], *, folder: Path) -> None:
    folder.mkdir()
    for file in files:
        os.link(file, folder / Path(file).name)


def _files(delta: DeltaTable) -> list[str]:
    """Paths of a table's files; local URIs are paths with percent signs for what is not ASCII, or a space."""
    return [unquote(uri) for uri in delta.file_uris()]


def _widen(delta: DeltaTable, added: list[pa.Field]) -> None:
    """Write all rows anew with more columns, in one commit, so that every file has them all."""
    schema = pa.schema([*_schema(delta), *added])
    rows = pa.RecordBatchReader.from_batches(schema, _widened(_files(delta), schema))
    write_deltalake(delta, rows, mode="overwrite", schema_mode="overwrite")


def _widened(files: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                columns = [
                    batch.column(field.name).cast(field.type)
                    if field.name in batch.schema.names
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _schema(delta: DeltaTable) -> pa.Schema:
    return plain(pa.schema(delta.schema()))


def _written(delta: DeltaTable, writer: str) -> int:
    sequence = delta.transaction_version(writer)
    return -1 if sequence is None else sequence
