"""What metadata in PostgreSQL cost beside SQLite: changes and reads, by one caller and by several at once.

A change reads a record, replaces it and appends to the audit trail, and is on disk when it returns; a read finds ten
records. Both stores let transactions follow one another, so several callers share what one could do, less what they
spend on turns.

    python benchmarks/bench_metadata.py [--operations 200] [--callers 1 8] [--rounds 3]
"""

import argparse
import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar

from measuring import in_turns
from tests.postgres import running_postgres

from octavo.stores.chain import AuditEvent
from octavo.stores.ports import Metadata
from octavo.stores.sql import SqlMetadata

RECORDS = 1_000
_NOW = datetime(2013, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A record of the size of a model version's."""

    kind: ClassVar[str] = "version"

    name: str
    group: str
    changes: int = 0
    metrics: dict[str, float]

    @property
    def key(self) -> str:
        return self.name


def main(asked: argparse.Namespace) -> None:
    """Measure, and print the ratios."""
    with tempfile.TemporaryDirectory() as folder, running_postgres(durable=True) as server:
        stores = {
            "SQLite": SqlMetadata(f"sqlite:///{folder}/metadata.db"),
            "PostgreSQL": SqlMetadata(server.address(connections=max(asked.callers))),
        }
        for store in stores.values():
            fill(store)
        print(f"{os.cpu_count()} cores; {asked.operations} operations in each of {asked.rounds} rounds, in turns\n")
        print(f"{'':8} {'callers':>7} {'SQLite':>12} {'PostgreSQL':>12} {'ratio':>6}")
        for name, operation in (("change", change), ("read", read)):
            for callers in asked.callers:
                contenders = {
                    which: partial(at_once, callers, asked.operations, partial(operation, store))
                    for which, store in stores.items()
                }
                spent = in_turns(contenders, rounds=asked.rounds)
                each = {which: asked.operations / of.wall_s for which, of in spent.items()}
                ratio = each["PostgreSQL"] / each["SQLite"]
                print(f"{name:8} {callers:7} {each['SQLite']:10,.0f}/s {each['PostgreSQL']:10,.0f}/s {ratio:6.2f}")
        for store in stores.values():
            store.close()


def fill(store: Metadata) -> None:
    """Put the records there."""
    metrics = {f"metric_{n}": n / 7 for n in range(20)}
    with store.transaction() as tx:
        for n in range(RECORDS):
            tx.add(Version(name=f"model/{n}", group=f"group {n % 100}", metrics=metrics))


def change(store: Metadata, place: int) -> None:
    """Change one record, and say so."""
    name = f"model/{place % RECORDS}"
    with store.transaction() as tx:
        found = tx.get(Version, name)
        assert found is not None
        tx.replace(found, replace(found, changes=found.changes + 1))
        tx.append_audit(AuditEvent(at=_NOW, actor="user:ada", operation="change", target=name, outcome="done"))


def read(store: Metadata, place: int) -> None:
    """Find the records of one group."""
    with store.transaction() as tx:
        assert len(tx.find(Version, group=f"group {place % 100}")) == RECORDS // 100


def at_once(callers: int, operations: int, operation: Callable[[int], None]) -> None:
    """Share operations among threads."""

    def work(first: int) -> None:
        for place in range(first, operations, callers):
            operation(place)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=200)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    main(parser.parse_args())
