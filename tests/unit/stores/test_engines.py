"""Which engines the settings choose, and where what they spill goes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from octavo.config import Config, EngineSettings, load_config
from octavo.errors import ConfigurationError, OutOfMemory
from octavo.stores.duckdb import DuckDB
from octavo.stores.engines import open_engines
from octavo.stores.spark import SparkEngine
from octavo.stores.spill import Spill

PROBE = """
import sys
from pathlib import Path
from octavo.stores.spill import Spill
folder = Spill(Path(sys.argv[1])).claim()
folder.mkdir()
(folder / "left").write_bytes(b"x")
print(folder, flush=True)
input()
"""


def settings(tmp_path: Path, **engine: object) -> Config:
    return Config(root=tmp_path, engine=EngineSettings(**engine))  # type: ignore[arg-type]  # each has its type


def test_duckdb_runs_everything_unless_another_engine_is_named(tmp_path: Path) -> None:
    engines = open_engines(Config(root=tmp_path))
    assert isinstance(engines.heavy, DuckDB)
    assert engines.light is engines.heavy


@pytest.mark.parametrize(
    ("url", "master"),
    [("spark://host:7077", "spark://host:7077"), ("spark:local[2]", "local[2]"), ("spark:yarn", "yarn")],
)
def test_spark_runs_heavy_queries_if_its_master_is_named(tmp_path: Path, url: str, master: str) -> None:
    (tmp_path / "octavo.toml").write_text(f'[engine]\nurl = "{url}"\n', encoding="utf-8")
    engines = open_engines(load_config(tmp_path, {}))
    assert isinstance(engines.light, DuckDB)
    assert isinstance(engines.heavy, SparkEngine)
    assert engines.heavy.master == master
    assert not (tmp_path / ".octavo").exists(), "nothing starts before the first query"


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ({"url": "sparc://host"}, "spark://HOST:7077"),
        ({"url": "spark:"}, r"spark:local\[2\]"),
        ({"url": "duckdb:x"}, "there is no engine"),
        ({"memory": "much"}, "such as 2GB"),
        ({"memory": "20MB"}, "200 MB or more"),
        ({"threads": 0}, "one thread at least"),
    ],
)
def test_a_setting_that_no_engine_takes_is_refused(tmp_path: Path, engine: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        open_engines(settings(tmp_path, **engine))


@pytest.mark.parametrize(("memory", "limit"), [("1GB", "953.6 MiB"), ("512MiB", "512.0 MiB"), ("1.5 g", "1.3 GiB")])
def test_the_memory_budget_is_that_of_the_settings(tmp_path: Path, memory: str, limit: str) -> None:
    duckdb = open_engines(settings(tmp_path, memory=memory, threads=3)).light
    found = duckdb.select("SELECT current_setting('memory_limit') m, current_setting('threads') t", relations={})
    assert found.to_pylist() == [{"m": limit, "t": 3}]


def test_a_query_that_needs_more_memory_than_it_may_use_says_so() -> None:
    with pytest.raises(OutOfMemory, match=r"\[engine\] memory"):
        DuckDB(memory_limit="20MB").select("SELECT list(range) AS all FROM range(10_000_000)", relations={})


def test_engines_spill_into_folders_of_their_own_and_leave_none(tmp_path: Path) -> None:
    engines = [DuckDB(spill=tmp_path) for _ in range(2)]
    asked = "SELECT current_setting('temp_directory') AS folder"
    folders = {str(engine.select(asked, relations={})["folder"][0]) for engine in engines}
    assert len(folders) == 2
    for engine in engines:
        engine.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROBE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        Spill(tmp_path).claim()
        assert (folder / "left").exists()
        os.kill(process.pid, signal.SIGKILL)
    Spill(tmp_path).claim()
    assert not folder.exists()
