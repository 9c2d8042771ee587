"""What the URL of a Redis says."""

from pathlib import Path

import pytest

from octavo.errors import ConfigurationError
from octavo.stores.redis import RedisAddress

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress(host="cache")),
        ("redis://cache:7000/3", RedisAddress(host="cache", port=7000, database=3)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("rediss://cache/", RedisAddress(host="cache", tls=True)),
        ("rediss://cache?ca_file=ca.pem", RedisAddress(host="cache", tls=True, ca_file="/project/ca.pem")),
        ("redis://:env:PASSWORD@cache", RedisAddress(host="cache", password="env:PASSWORD")),
        ("redis://ann:env:P@cache/1", RedisAddress(host="cache", user="ann", password="env:P", database=1)),
        ("redis://ann@cache?password=file:/run/p", RedisAddress(host="cache", user="ann", password="file:/run/p")),
        ("redis://cache?password=file:keys/p", RedisAddress(host="cache", password="file:/project/keys/p")),
        ("redis://cache?timeout_s=0.25", RedisAddress(host="cache", timeout_s=0.25)),
        ("redis://cache?remember_mb=0", RedisAddress(host="cache", remember_mb=0)),
        ("unix:/run/redis.sock?db=2", RedisAddress(path="/run/redis.sock", database=2)),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix:here.sock", RedisAddress(path="/project/here.sock")),
    ],
)
def test_an_address_is_read_from_a_url(url: str, address: RedisAddress) -> None:
    assert RedisAddress.parse(url, root=ROOT) == address


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("redis:", "names no host"),
        ("redis:///0", "names no host"),
        ("redis://cache/trips", "database is not a number"),
        ("redis://cache/-1", "database is not a number"),
        ("redis://cache:port/0", "port is not a number"),
        ("redis://cache?db=1", "no option 'db' among ca_file, password, remember_mb, timeout_s"),
        ("redis://cache?remember_mb=-1", "remember_mb is not a number of megabytes"),
        ("redis://cache?timeout_s=0", "timeout_s is not a number of seconds"),
        ("redis://cache?timeout_s=nan", "timeout_s is not a number of seconds"),
        ("redis://cache?timeout_s", "bad query field"),
        ("unix:?db=0", "a socket has a path"),
        ("unix://host/path", "a socket has a path and no host"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_the_fix(url: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{what}.*; write redis://HOST:PORT/0 or unix:PATH"):
        RedisAddress.parse(url, root=ROOT)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@cache", "redis://cache?password=hunter2", "redis://:a/hunter2@cache"]
)
def test_a_password_that_stands_there_itself_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RedisAddress.parse(url, root=ROOT)
    assert "hunter2" not in str(refused.value)


def test_what_is_shown_of_an_address_says_where_it_is_and_no_more() -> None:
    shown = [str(RedisAddress(host="cache", user="ann", password="env:P", database=2)), str(RedisAddress(path="/s"))]
    assert shown == ["cache:6379 (database 2)", "/s (database 0)"]
