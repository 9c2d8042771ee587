"""What the URL of a PostgreSQL says."""

from pathlib import Path

import pytest

from octavo.errors import ConfigurationError
from octavo.stores.sql.postgres import PostgresAddress

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://db/trips", PostgresAddress(host="db", database="trips")),
        ("postgresql://ann@db:7000/trips", PostgresAddress(host="db", port=7000, user="ann", database="trips")),
        ("postgresql://[::1]/trips", PostgresAddress(host="::1", database="trips")),
        ("postgresql://db/trips?schema=eta", PostgresAddress(host="db", database="trips", schema="eta")),
        (
            "postgresql://ann:env:PASSWORD@db/trips",
            PostgresAddress(host="db", database="trips", user="ann", password="env:PASSWORD"),
        ),
        (
            "postgresql://db/trips?password=file:keys/p&timeout_s=2.5&connections=3",
            PostgresAddress(host="db", database="trips", password="file:/project/keys/p", timeout_s=2.5, connections=3),
        ),
        ("postgresql://db/trips?tls=yes", PostgresAddress(host="db", database="trips", tls=True)),
        (
            "postgresql://db/trips?ca_file=ca.pem",
            PostgresAddress(host="db", database="trips", tls=True, ca_file="/project/ca.pem"),
        ),
    ],
)
def test_an_address_is_read_from_a_url(url: str, address: PostgresAddress) -> None:
    assert PostgresAddress.parse(url, root=ROOT) == address


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql:///trips", "names no host"),
        ("postgresql://db", "names no database"),
        ("postgresql://db/a/b", "names no database"),
        ("postgresql://db,other/trips", "host is no name"),
        ("postgresql://db:port/trips", "port is not a number"),
        ("postgresql://db/trips?sslmode=disable", "no option 'sslmode' among ca_file, connections, password"),
        ("postgresql://db/trips?schema=public;drop", "schema is not"),
        ("postgresql://db/trips?schema=pg_temp", "schema is not"),
        ("postgresql://db/trips?timeout_s=0", "timeout_s is not"),
        ("postgresql://db/trips?timeout_s=nan", "timeout_s is not"),
        ("postgresql://db/trips?connections=0", "connections are not"),
        ("postgresql://db/trips?tls=maybe", "tls is neither"),
        ("postgresql://db/trips?password=env:", "password is not a reference"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_the_fix(url: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=f"stores.metadata .*{what}.*; write postgresql://USER@HOST:PORT"):
        PostgresAddress.parse(url, root=ROOT)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@db/trips",
        "postgresql://db/trips?password=hunter2",
        "postgresql://ann:a/hunter2@db/trips",
        "postgresql://ann:x@hunter2:y@db/trips",
    ],
)
def test_a_password_that_stands_there_itself_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        PostgresAddress.parse(url, root=ROOT)
    assert "hunter2" not in f"{refused.value} {refused.value.facts}"
