"""A real PostgreSQL, started by the tests that need one and ended with them."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from octavo.stores.sql.postgres import PostgresAddress
from tests.servers import free_port, program, wait_for_port

USER = "octavo"
_WITHOUT_DISK = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB"}
_HOMES = Path("/usr/lib/postgresql")


class PostgresServer:
    """A PostgreSQL that trusts whoever comes from this machine, and forgets all when the tests end.

    Parameters
    ----------
    durable : bool
        Whether what it commits would survive a crash of the machine, as outside of tests.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self.port = free_port()
        self._runs_as: dict[str, Any] = {}
        if os.geteuid() == 0:  # as whom it refuses to run
            self._runs_as = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self.folder = Path(tempfile.mkdtemp(prefix="octavo-postgres-"))
        if self._runs_as:
            shutil.chown(self.folder, "postgres", "postgres")
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        options = {"pgdata": "data", "username": USER, "auth": "trust", "encoding": "UTF8"}
        self._run("initdb", "--no-sync", *(f"--{name}={value}" for name, value in options.items()))

    def start(self) -> None:
        """Start it with what it held when it ended; returns when it answers."""
        settings = {
            **({} if self._durable else _WITHOUT_DISK),
            "unix_socket_directories": str(self.folder),
            "listen_addresses": "127.0.0.1",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        with (self.folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._runs_as)
        wait_for_port(self.port)
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "postgres.log").read_text()

    def stop(self) -> None:
        """End it at once, in good order; whoever is connected is cut off."""
        self._signal_and_wait(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: nothing is written down."""
        self._signal_and_wait(signal.SIGQUIT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it take connections and bytes, and answer nothing."""
        assert self._process is not None
        processes = [self._process.pid, *_children(self._process.pid)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def address(self, **changes: Any) -> PostgresAddress:
        """Where a schema of the caller's own is, until the tests end."""
        own: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "database": "postgres", "user": USER}
        return PostgresAddress(**{**own, "schema": f"test_{next(self._numbers)}", **changes})

    def url(self, address: PostgresAddress) -> str:
        """An address as a setting says it."""
        return f"postgresql://{USER}@{address.host}:{address.port}/{address.database}?schema={address.schema}"

    def connect(self) -> "psycopg.Connection[Any]":
        """A connection of the test's own, on which everything is committed at once."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user=USER, dbname="postgres", autocommit=True)

    def close(self) -> None:
        """End it, and forget what it held."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_and_wait(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run([_program(name), *arguments], cwd=self.folder, check=True, capture_output=True, **self._runs_as)


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A PostgreSQL of one's own, which may be stopped, killed, paused and started again."""
    server = PostgresServer(durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL that all tests share which leave it as it is; each keeps to a schema of its own."""
    with running_postgres() as server:
        yield server


def _program(name: str) -> str:
    found = sorted(_HOMES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else program(name)


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
