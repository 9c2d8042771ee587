"""Connections to a PostgreSQL on which nothing is waited for without end."""

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from octavo.errors import MissingExtra
from octavo.stores.sql.documents import dump, load
from octavo.stores.sql.postgres.address import PostgresAddress
from octavo.stores.urls import secret

if TYPE_CHECKING:
    import psycopg

_T = TypeVar("_T")

IDLE_IN_TRANSACTION_S = 10.0
"""After so long the server ends the transaction of a process that stands still, and lets the others go on."""

_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
_ALLOWANCE_S = 1.0


def connect(address: PostgresAddress, *, purpose: str) -> "psycopg.Connection[Any]":
    """Connect; each answer of the server is waited for no longer than the address says.

    Parameters
    ----------
    purpose : str
        As which the server lists the connection.

    Raises
    ------
    ConfigurationError
        If the password that the address refers to is not there.
    MissingExtra
        If what speaks to it is not installed.
    psycopg.Error
        If it cannot be reached, or refuses.
    """
    timeout_ms = round(address.timeout_s * 1000)
    settings = {
        "search_path": address.schema,
        "statement_timeout": timeout_ms,
        "lock_timeout": timeout_ms // 2,
        "idle_in_transaction_session_timeout": round(IDLE_IN_TRANSACTION_S * 1000),
        "timezone": "UTC",
    }
    connection = _bounded_type().connect(
        **address_parameters(address),
        connect_timeout=max(2, round(address.timeout_s)),
        tcp_user_timeout=timeout_ms,
        application_name=purpose,
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        **_KEEPALIVE,
    )
    from psycopg.types.json import set_json_dumps, set_json_loads

    connection.answers_within_s = address.timeout_s + _ALLOWANCE_S
    set_json_dumps(dump, connection)
    set_json_loads(load, connection)
    bounded: psycopg.Connection[Any] = connection
    return bounded


def address_parameters(address: PostgresAddress) -> dict[str, Any]:
    """Where it is and who asks, as its client library is told; the secret as it is now."""
    parameters: dict[str, Any] = {"host": address.host, "port": address.port, "dbname": address.database}
    if address.user:
        parameters["user"] = address.user
    if address.password:
        parameters["password"] = secret(address.password)
    if address.tls:
        parameters["sslmode"] = "verify-full"
        parameters["sslrootcert"] = address.ca_file or "system"
    return parameters


_bounded: "type[psycopg.Connection[Any]] | None" = None


def _bounded_type() -> "type[Any]":
    global _bounded
    if _bounded is None:
        _bounded = _make_bounded_type()
    return _bounded


def _make_bounded_type() -> "type[psycopg.Connection[Any]]":
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtra("postgres", "PostgreSQL") from error

    class BoundedConnection(psycopg.Connection[Any]):
        """A connection that is given up when an answer does not come in time, as from a server that hangs."""

        answers_within_s: float | None = None

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            return super().wait(self._in_time(gen), *arguments, **options)

        def _in_time(self, gen: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
            """Drive what waits for the server, which is woken up several times a second whatever happens."""
            began_s = time.monotonic()
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    within_s = self.answers_within_s
                    if not ready and within_s is not None and time.monotonic() - began_s > within_s:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(f"the server has not answered within {within_s:g} s")
                    wanted = gen.send(ready)
            except StopIteration as ended:
                answer: _T = ended.value
                return answer

    return BoundedConnection
