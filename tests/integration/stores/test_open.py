"""Which adapters a project's URLs choose."""

from dataclasses import replace
from pathlib import Path

import pytest

from octavo.config import Config, StoreSettings
from octavo.errors import ConfigurationError, Conflict, Unavailable
from octavo.stores.open import open_stores
from tests.servers import free_port


def test_the_defaults_keep_everything_below_the_projects_folder(tmp_path: Path) -> None:
    stores = open_stores(Config(root=tmp_path), writes_online=True)
    stores.artifacts.put(b"x")
    stores.stream.publish("outcomes", [b"x"])
    stores.online.write({b"x": b"x"}, marks={})
    stores.metadata.close()
    stores.online.close()
    stores.stream.close()
    kept = {path.name for path in (tmp_path / ".octavo").iterdir()}
    assert kept >= {"metadata.db", "online", "stream", "artifacts"}


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    settings = StoreSettings(
        metadata=f"sqlite:///{elsewhere}/m.db",
        tables=f"{elsewhere}/tables",
        online=f"lmdb:{elsewhere}/online",
        stream=f"log:{elsewhere}/stream",
        artifacts=f"file:{elsewhere}/artifacts",
    )
    stores = open_stores(Config(root=tmp_path / "project", stores=settings), writes_online=True)
    stores.metadata.close()
    stores.online.close()
    assert {path.name for path in elsewhere.iterdir()} >= {"m.db", "online", "artifacts"}
    assert [path.name for path in (tmp_path / "project" / ".octavo").rglob("*")] == ["run", "online.lock"]


def test_a_process_that_does_not_write_online_features_only_reads_what_another_wrote(tmp_path: Path) -> None:
    assert open_stores(Config(root=tmp_path), writes_online=False).online.read([b"x"]) == [None]
    assert not (tmp_path / ".octavo" / "online").exists(), "a reader makes no store"
    writer = open_stores(Config(root=tmp_path), writes_online=True)
    writer.online.write({b"x": b"1"}, marks={"applied/view": 3})
    writer.online.close()
    reader = open_stores(Config(root=tmp_path), writes_online=False)
    assert (reader.online.read([b"x"]), reader.online.mark("applied/view")) == ([b"1"], 3)
    with pytest.raises(Conflict, match="opened to be read only"):
        reader.online.write({b"x": b"2"}, marks={})


def test_an_online_store_that_is_away_keeps_no_reader_from_starting(tmp_path: Path) -> None:
    settings = replace(StoreSettings(), online=f"redis://127.0.0.1:{free_port()}/0")
    stores = open_stores(Config(root=tmp_path, stores=settings), writes_online=False)
    with pytest.raises(Unavailable, match="the Redis at"):
        stores.online.read([b"x"])


@pytest.mark.parametrize(
    ("setting", "url", "fix"),
    [
        ("metadata", "mysql://host/db", "sqlite:///PATH"),
        ("metadata", "sqlite:///", "sqlite:///PATH"),
        ("metadata", "postgres://host/db", "sqlite:///PATH"),
        ("tables", "s3://bucket/tables", "PATH"),
        ("online", "memcached:host", "lmdb:PATH"),
        ("stream", "nats://host", "log:PATH"),
        ("artifacts", "ftp://host/x", "file:PATH"),
        ("artifacts", "", "file:PATH"),
    ],
)
def test_a_url_that_no_adapter_takes_is_named_with_the_fix(tmp_path: Path, setting: str, url: str, fix: str) -> None:
    settings = replace(StoreSettings(), **{setting: url})
    with pytest.raises(ConfigurationError, match=f"stores.{setting} = .* write {fix}$"):
        open_stores(Config(root=tmp_path, stores=settings), writes_online=True)
    assert list(tmp_path.iterdir()) == []
