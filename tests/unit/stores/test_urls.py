"""Secrets by reference."""

from pathlib import Path

import pytest

from octavo.errors import ConfigurationError
from octavo.stores.urls import secret


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "of: the door ")
    assert secret("env:PASSWORD") == "of: the door "


def test_a_secret_is_read_from_a_file_as_it_is_now(tmp_path: Path) -> None:
    for now in ("first", "second"):
        (tmp_path / "password").write_text(f"{now}\n")
        assert secret(f"file:{tmp_path}/password") == now


@pytest.mark.parametrize("reference", ["env:OCTAVO_NOT_SET", "file:/nowhere/password"])
def test_a_secret_that_is_not_there_is_named_by_its_place(reference: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{reference.partition(':')[2]}, which holds a secret"):
        secret(reference)


@pytest.mark.parametrize("reference", ["hunter2", "env:", "file:", "vault:hunter2"])
def test_what_is_no_reference_is_refused_and_not_repeated(reference: str) -> None:
    with pytest.raises(ConfigurationError, match="write env:NAME or file:PATH") as refused:
        secret(reference)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        secret(f"file:{tmp_path}/password")
