"""Secrets that the project refers to do not get into what is logged."""

from pathlib import Path

import pytest

from octavo.config import load_config
from octavo.stores.redaction import Redaction


@pytest.fixture
def redaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Redaction:
    monkeypatch.setenv("CANARY_REDIS", "canary-redis-7391")
    monkeypatch.setenv("SHORT", "ab")
    secret = tmp_path / "callback.key"
    secret.write_text("canary-callback-7391-longer\n")
    settings = f"""
[stores]
online = "redis://cache:6379?user=u&password=env:CANARY_REDIS"
stream = "kafka://broker:9092?user=u&password=env:NOT_SET"

[predictor]
callback_secret = "file:{secret}"
callbacks = ["https://a.example/?key=env:SHORT"]
"""
    (tmp_path / "octavo.toml").write_text(settings)
    return Redaction.of(load_config(tmp_path, {}))


def test_a_secret_is_replaced_by_its_reference(redaction: Redaction) -> None:
    assert redaction.text("url=redis://u:canary-redis-7391@cache") == "url=redis://u:env:CANARY_REDIS@cache"
    told = redaction.texts({"key": "canary-callback-7391-longer", "depth": "6"})
    assert "canary" not in told["key"]
    assert told["depth"] == "6"
    assert b"canary" not in redaction.data(b"\xff canary-redis-7391")


def test_what_is_not_set_or_too_short_is_not_looked_for(redaction: Redaction) -> None:
    assert len(redaction.references) == 2
    assert redaction.text("about") == "about"
