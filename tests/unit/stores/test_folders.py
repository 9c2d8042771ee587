"""Small files that are written once, here and in an object store."""

from pathlib import Path

import pytest
from obstore.store import MemoryStore

from octavo.config import Config
from octavo.errors import ConfigurationError, Conflict, NotFound, Unavailable
from octavo.stores.folders import Folder, open_folder


@pytest.fixture(params=["local", "objects"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "objects":
        return Folder("memory:", MemoryStore())
    return open_folder(Config(root=tmp_path), "audit.checkpoints", "file:kept/here")


def test_a_file_is_there_as_it_was_added(folder: Folder) -> None:
    folder.add("b", b"2")
    folder.add("a", b"1")
    assert (folder.names(), folder.read("a"), folder.read("b")) == (["a", "b"], b"1", b"2")


def test_the_same_file_may_be_added_again_and_another_under_its_name_may_not(folder: Folder) -> None:
    folder.add("a", b"1")
    folder.add("a", b"1")
    with pytest.raises(Conflict, match="holds another a already"):
        folder.add("a", b"2")
    assert folder.read("a") == b"1"


def test_what_is_not_there_is_told(folder: Folder) -> None:
    assert folder.names() == []
    with pytest.raises(NotFound):
        folder.read("a")


def test_a_bucket_that_is_away_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "REGION": "z", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = open_folder(Config(root=tmp_path), "audit.checkpoints", "s3://bucket/prefix")
    with pytest.raises(Unavailable, match="s3://bucket/prefix cannot be reached now"):
        away.add("a", b"1")


@pytest.mark.parametrize("url", ["ftp://somewhere", "elsewhere", "s3:bucket"])
def test_a_place_that_there_is_no_adapter_for_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no adapter"):
        open_folder(Config(root=tmp_path), "audit.checkpoints", url)
