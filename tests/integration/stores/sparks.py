"""A Spark of two threads for tests, set up to start and plan quickly rather than to compute quickly."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from octavo.stores.spark import SparkEngine
from octavo.stores.spill import Spill

_SETTINGS = """
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.adaptive.enabled false
spark.sql.autoBroadcastJoinThreshold -1
spark.sql.codegen.factoryMode NO_CODEGEN
spark.sql.codegen.wholeStage false
spark.sql.shuffle.partitions 2
"""


def lacking() -> str:
    """What is missing to run Spark here; empty where it can run."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: make env"
    if shutil.which("java") is None:
        return "there is no java: apt-get install openjdk-17-jre-headless"
    return ""


def started(folder: Path) -> Iterator[SparkEngine]:
    """Start it, or skip the test where it cannot run; in continuous integration it must."""
    if reason := lacking():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    (folder / "spark-defaults.conf").write_text(_SETTINGS, encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        engine = SparkEngine("local[2]", memory_bytes=1_000_000_000, spill=Spill(folder / "spill"))
        engine.select("SELECT 1 AS one", relations={})
    yield engine
    engine.close()
