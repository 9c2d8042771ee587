"""Which engines a project's settings choose."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octavo.config import Config
from octavo.definitions.types import size_bytes
from octavo.errors import ConfigurationError, InvalidDefinition, MissingExtra
from octavo.stores.duckdb import DuckDB
from octavo.stores.ports import Engine
from octavo.stores.spill import Spill

if TYPE_CHECKING:
    from octavo.stores.spark import SparkEngine

_SMALLEST_BYTES = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What runs queries that someone waits for, and what runs heavy ones."""

    light: Engine
    heavy: Engine


def open_engines(config: Config) -> Engines:
    """The engines of a project. Neither takes memory before its first query.

    Raises
    ------
    ConfigurationError
        For a URL that no engine takes, or a budget that is none.
    MissingExtra
        For Spark without its libraries.
    """
    settings = config.engine
    memory_bytes = _memory_bytes(settings.memory)
    if settings.threads < 1:
        raise ConfigurationError(
            f"engine.threads = {settings.threads}: a query needs one thread at least", setting="engine.threads"
        )
    duckdb = DuckDB(threads=settings.threads, memory_limit=f"{memory_bytes}B", spill=config.home / "spill")
    if settings.url == "duckdb:":
        return Engines(light=duckdb, heavy=duckdb)
    scheme, _, rest = settings.url.partition(":")
    if scheme != "spark" or not rest:
        raise ConfigurationError(
            f"engine.url = {settings.url!r}: there is no engine for this; "
            "write duckdb:, spark://HOST:7077, spark:local[2], or spark: and any other master that Spark takes",
            setting="engine.url",
        )
    master = settings.url if rest.startswith("//") else rest
    spark = _spark()(master, memory_bytes=memory_bytes, spill=Spill(config.home / "spill"))
    return Engines(light=duckdb, heavy=spark)


def _spark() -> "type[SparkEngine]":
    try:
        from octavo.stores.spark import SparkEngine
    except ImportError as error:
        raise MissingExtra("spark", "running queries on Spark") from error
    return SparkEngine


def _memory_bytes(text: str) -> int:
    try:
        size = size_bytes(text)
    except InvalidDefinition:
        size = 0
    if size < _SMALLEST_BYTES:
        raise ConfigurationError(
            f"engine.memory = {text!r} is not a size of 200 MB or more; write one such as 2GB or 512MiB",
            setting="engine.memory",
        )
    return size
