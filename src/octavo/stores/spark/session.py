"""A Spark session whose driver runs in this process."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from octavo.errors import ConfigurationError, MissingExtra, Unavailable

_MEBIBYTE = 2**20


def start(master: str, *, memory_bytes: int, folder: Path) -> Any:
    """Start a session, or take the one that this process has.

    What is not set here is Spark's own to set: in ``spark-defaults.conf``, found by ``SPARK_CONF_DIR``.

    Parameters
    ----------
    master : str
        As Spark writes it: ``local[2]``, ``spark://host:7077``, ``yarn``.
    memory_bytes : int
        The heap of the driver, and of each executor.
    folder : Path
        For what the driver, and under a local master Spark as a whole, keeps outside memory.

    Returns
    -------
    pyspark.sql.SparkSession

    Raises
    ------
    MissingExtra
        Without pyspark.
    ConfigurationError
        Without Java.
    Unavailable
        If it does not start, or the cluster cannot be reached.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtra("spark", "running queries on Spark") from error
    _check_java()
    heap = f"{max(memory_bytes // _MEBIBYTE, 1)}m"
    settings = {
        "spark.driver.memory": heap,
        "spark.executor.memory": heap,
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        **_SETTINGS,
        **(_LOCAL if master.startswith("local") else {}),
    }
    try:
        builder = SparkSession.builder.master(master).appName("octavo")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
    except (PySparkException, _gateway_error()) as error:
        raise Unavailable(f"Spark at {master} does not start: {error}") from error
    return session


_SETTINGS = {
    "spark.driver.maxResultSize": "0",  # an answer is as large as it is; DuckDB sets no other limit either
    "spark.pyspark.python": sys.executable,
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, as in DuckDB
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",  # the files have the proleptic calendar
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


_PARTS = "spark.sql.shuffle.partitions"
_PARTS_PER_THREAD = 4
_LOCAL = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}


def apart(session: Any) -> Any:
    """A session beside another, whose views are its own.

    Under a local master queries fall into a few parts per thread, unless the number is set: Spark's 200, each of which
    costs some milliseconds, are meant for a cluster.
    """
    own, context = session.newSession(), session.sparkContext
    if context.master.startswith("local") and context.getConf().get(_PARTS) is None:
        own.conf.set(_PARTS, str(_PARTS_PER_THREAD * context.defaultParallelism))
    return own


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        where = f"there is none in JAVA_HOME, {home}" if home else "there is none on the PATH"
        raise ConfigurationError(
            f"Spark runs on Java 17 or later, and {where}; install one "
            "(apt-get install openjdk-17-jre-headless), or set JAVA_HOME",
            setting="engine.url",
        )


def _gateway_error() -> type[Exception]:
    from py4j.protocol import Py4JError

    return Py4JError  # type: ignore[no-any-return]  # py4j has no types
