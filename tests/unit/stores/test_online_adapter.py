"""The choice of the online store, which predictors make too."""

import subprocess
import sys
from pathlib import Path

import pytest

from octavo.config import Config, StoreSettings
from octavo.errors import ConfigurationError, Unavailable
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.online import online_adapter


def config(root: Path, url: str) -> Config:
    return Config(root=root, stores=StoreSettings(online=url))


def test_lmdb_is_opened_below_the_projects_folder(tmp_path: Path) -> None:
    store = online_adapter(config(tmp_path, "lmdb:there"))(readonly=False)
    store.close()
    assert isinstance(store, LmdbOnlineStore)
    assert (tmp_path / "there" / "data.mdb").exists()


def test_a_redis_is_reached_only_when_it_is_opened(tmp_path: Path) -> None:
    open_online = online_adapter(config(tmp_path, "redis://127.0.0.1:1/0"))
    with pytest.raises(Unavailable):
        open_online(readonly=True)


@pytest.mark.parametrize("url", ["valkey://:hunter2@cache/0", "redis-sentinel://hunter2", "there", "lmdb:", "redis:"])
def test_a_url_that_cannot_be_right_is_refused_at_once_and_no_password_is_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^stores\.online") as refused:
        online_adapter(config(tmp_path, url))
    assert "hunter2" not in str(refused.value)


def test_the_predictor_loads_no_library_but_that_of_its_store() -> None:
    heavy = ("pandas", "sqlalchemy", "duckdb", "deltalake", "pyarrow", "redis")
    probe = f"import sys, octavo.serving.process; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
