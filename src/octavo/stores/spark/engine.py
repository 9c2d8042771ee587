"""SELECTs over files and frames, on Spark."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from octavo.errors import InvalidRequest, OutOfMemory, Unavailable
from octavo.stores.columns import in_utc
from octavo.stores.ports import Relation
from octavo.stores.spark.dialect import translated
from octavo.stores.spark.session import apart, start
from octavo.stores.spill import Spill

_FILE_GONE = ("FILE_NOT_EXIST", "PATH_NOT_FOUND", "FileNotFoundException")
_IN_THE_QUERY = (
    "AnalysisException",
    "ParseException",
    "ArithmeticException",
    "NumberFormatException",
    "DateTimeException",
)


class SparkEngine:
    """Spark with its driver in this process, started with the first query; safe to use from several threads.

    Files are read by their paths where the query's parts run, so a cluster needs the tables' folder under the same path
    on each of its machines, as on a shared file system.

    Parameters
    ----------
    master : str
        As Spark writes it: ``local[2]``, ``spark://host:7077``, ``yarn``.
    memory_bytes : int
        The heap of the driver, and of each executor.
    spill : Spill
        For what does not fit into memory.
    """

    def __init__(self, master: str, *, memory_bytes: int, spill: Spill) -> None:
        self.master = master
        self._memory_bytes = memory_bytes
        self._spill = spill
        self._started: Any = None
        self._lock = threading.Lock()

    def select(
        self, sql: str, *, relations: Mapping[str, Relation], parameters: Mapping[str, object] | None = None
    ) -> pa.Table:
        """See `Engine.select`.

        Raises
        ------
        MissingExtra
            Without pyspark.
        ConfigurationError
            Without Java.
        """
        translation = translated(sql, parameters or {})
        session = self._session()
        with ExitStack() as kept:
            try:
                for name, relation in relations.items():
                    _rows(session, relation).createTempView(name)
                for step in translation.steps:
                    computed = session.sql(step.sql).localCheckpoint()
                    kept.callback(_forget, computed)
                    computed.createTempView(step.name)
                return in_utc(session.sql(translation.answer).toArrow())
            except _errors() as error:
                raise _translated(error, sql) from error

    def close(self) -> None:
        """Stop Spark, if it was started."""
        with self._lock:
            if self._started is not None:
                self._started.stop()
                self._started = None
                self._spill.release()

    def _session(self) -> Any:
        """A session whose views are its own."""
        with self._lock:
            if self._started is None:
                self._started = start(self.master, memory_bytes=self._memory_bytes, folder=self._spill.claim())
            return apart(self._started)


def _forget(computed: Any) -> None:
    """Free what a step kept; pyspark has no call for it, and Java's would wait for the garbage collector."""
    computed._jdf.queryExecution().logical().rdd().unpersist(False)


def _rows(session: Any, relation: Relation) -> Any:
    if isinstance(relation, pa.Table):
        return session.createDataFrame(relation)
    return session.read.parquet(*map(_url, relation))


def _url(path: str) -> str:
    """A file as Spark takes it: on the local file system whatever the default is, and none of it a pattern."""
    escaped = "".join(f"\\{c}" if c in "*?[]{}\\" else c for c in path)
    return f"file://{escaped}" if path.startswith("/") else escaped


def _errors() -> tuple[type[Exception], ...]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError


def _translated(error: Exception, sql: str) -> Exception:
    text = str(error)
    if any(sign in text for sign in _FILE_GONE):
        return FileNotFoundError(text)
    if "OutOfMemoryError" in text:
        return OutOfMemory(f"a query needs more memory than Spark may use: {text}")
    if type(error).__name__ in _IN_THE_QUERY:
        return InvalidRequest(f"Spark cannot run this query: {text}", sql=sql)
    return Unavailable(f"Spark cannot run a query now: {text}")
