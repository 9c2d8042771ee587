"""Shipping after arbitrary crashes: no record and no outcome is lost or doubled."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.monitoring.outcomes import OutcomeRow, record_outcomes, ship_outcomes
from octavo.monitoring.prediction_log import ship_predictions
from octavo.serving.recorder import TOPIC
from octavo.stores.memory import MemoryEventStream, MemoryTables
from tests.unit.monitoring.scenes import Scene, draw

SCENE = Scene()
MADE = SCENE.records(SCENE.register(), draw(SCENE.random, 12 * 6))
IDS, RECORDS = [record.id for record in MADE], [msgspec.msgpack.encode(record) for record in MADE]


class Killed(BaseException):
    """The process ends here; only what is in the stores is left."""


class MortalTables(MemoryTables):
    """Tables whose writer is killed, before or after a write, wherever the script says so."""

    def __init__(self, script: Iterator[str]) -> None:
        super().__init__()
        self._script = script

    def ensure(self, table: str, schema: pa.Schema) -> None:
        self._write(lambda: super(MortalTables, self).ensure(table, schema))

    def append(self, table: str, rows: pa.Table, *, writer: str, sequence: int) -> bool:
        return bool(
            self._write(lambda: super(MortalTables, self).append(table, rows, writer=writer, sequence=sequence))
        )

    def _write(self, write: Callable[[], Any]) -> Any:
        fate = next(self._script, "live")
        if fate == "die before":
            raise Killed
        done = write()
        if fate == "die after":
            raise Killed
        return done


fates = st.lists(st.sampled_from(["live", "die before", "die after"]), max_size=40)
steps = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3_000)), max_size=12)


def ship_until_done(ship: Callable[[], int]) -> None:
    """Start anew after each death, until nothing is left."""
    while True:
        try:
            while ship():
                pass
        except Killed:
            continue
        return


@settings(max_examples=80, deadline=None)
@given(fates, steps)
def test_prediction_records_are_shipped_exactly_once(script: list[str], published: list[tuple[int, int]]) -> None:
    log, tables, sent = MemoryEventStream(), MortalTables(iter(script)), 0
    for count, max_bytes in published:
        log.publish(TOPIC, RECORDS[sent : sent + count])
        sent += count
        with suppress(Killed):
            ship_predictions(log, tables, max_bytes=max_bytes)
    ship_until_done(lambda: ship_predictions(log, tables, max_bytes=1_500))
    assert column(tables, "SELECT id FROM t", table="predictions") == IDS[:sent]


@settings(max_examples=80, deadline=None)
@given(fates, steps)
def test_outcomes_are_shipped_exactly_once_in_order(script: list[str], published: list[tuple[int, int]]) -> None:
    stream, tables, sent = MemoryEventStream(), MortalTables(iter(script)), 0
    for count, max_bytes in published:
        rows = [OutcomeRow(prediction=prediction, value=1.0) for prediction in IDS[sent : sent + count]]
        if rows:
            record_outcomes(rows, stream=stream, clock=SCENE.clock)
        sent += count
        with suppress(Killed):
            ship_outcomes(stream, tables, max_bytes=max_bytes)
    ship_until_done(lambda: ship_outcomes(stream, tables, max_bytes=300))
    assert column(tables, "SELECT prediction FROM t ORDER BY sequence", table="outcomes") == IDS[:sent]


def column(tables: MemoryTables, sql: str, *, table: str) -> list[str]:
    """The only column of a query; nothing if the table was never needed."""
    if tables.version(table) < 0:
        return []
    found: list[str] = tables.query(sql, tables={"t": table}).column(0).to_pylist()
    return found
