"""What the audit chain costs: changes with an event each, with the chain and without, in SQLite on this disk.

    python benchmarks/bench_audit.py

Prints the ratio, and how fast a chain is checked.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import sqlalchemy as sa

from octavo.stores.chain import AuditEntry, AuditEvent, AuditHead, check_chain, link, row_of
from octavo.stores.sql import SqlMetadata, chain
from octavo.stores.sql.schema import audit

CHANGES, ROUNDS, CHECKED = 400, 5, 100_000
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    kind: ClassVar[str] = "thing"

    name: str
    value: int

    @property
    def key(self) -> str:
        return self.name


def event(number: int) -> AuditEvent:
    return AuditEvent(
        at=NOON,
        actor="ada/1f3a09c2",
        operation="releases.start",
        target=f"deployment=eta version={number}",
        outcome="done",
        subject="ada",
        request="0123abcd:" + "5" * 64,
        trace="01bdd3a0-0000-7000-8000-00000000000a",
    )


def without_chain(connection: sa.Connection, events: Sequence[AuditEvent]) -> None:
    """Append as it was done before there was a chain."""
    rows = [row_of(AuditEntry(sequence=0, event=one, previous="", digest="")) for one in events]
    for row in rows:
        del row["seq"]
    connection.execute(sa.insert(audit), rows)


def measure(folder: Path) -> tuple[float, float]:
    """Changes a second, and microseconds of the processor for each."""
    metadata = SqlMetadata(f"sqlite:///{folder}/m.db")
    began, began_cpu = time.perf_counter(), time.process_time()
    for number in range(CHANGES):
        with metadata.transaction() as tx:
            tx.put(Thing(name=f"t{number % 50}", value=number))
            tx.append_audit(event(number))
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    metadata.close()
    return CHANGES / took, took_cpu / CHANGES * 1e6


def main() -> None:
    found: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            found["with"].append(measure(Path(folder)))
        with tempfile.TemporaryDirectory(dir=".") as folder, patch.object(chain, "append", without_chain):
            found["without"].append(measure(Path(folder)))
    (chained, chained_us), (plain, plain_us) = (
        tuple(statistics.median(values) for values in zip(*one, strict=True)) for one in found.values()
    )
    head, entries = AuditHead(), []
    for number in range(CHECKED):
        entries.append(link(event(number), head))
        head = AuditHead(sequence=entries[-1].sequence, digest=entries[-1].digest)
    began = time.perf_counter()
    check_chain(entries)
    checked = CHECKED / (time.perf_counter() - began)
    print(f"changes with the chain    {chained:8,.0f} a second, {chained_us:,.0f} µs of the processor each")
    print(f"changes without           {plain:8,.0f} a second, {plain_us:,.0f} µs of the processor each")
    print(f"ratio                     {chained / plain:8.2f}")
    print(f"entries checked           {checked:8,.0f} a second")


if __name__ == "__main__":
    main()
