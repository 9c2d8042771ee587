"""Events that could not be taken: kept, found, replayed, discarded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.plants import SECOND, START, Plant, readings

import octavo as oc
from octavo.clock import from_micros
from octavo.definitions.sources import Source
from octavo.errors import IntegrityError, InvalidRequest, NotFound
from octavo.features.events import letters
from octavo.features.events.dead_letters import (
    LONGEST_PAYLOAD_BYTES,
    Letter,
    LetterState,
    count_letters,
    find_letters,
    keep_refused,
    ship_letters,
)
from octavo.features.events.ingest import BadRows, ingest, ingest_file
from octavo.features.events.letters import discard_letters, replay_letters, shown
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.features.events.sent import SentLines, SentTable

MOMENT = from_micros(START).isoformat()


def good(number: int) -> dict[str, Any]:
    return {"number": number, "happened": MOMENT, "known": MOMENT, "machine": "a"}


def line(**columns: object) -> bytes:
    return json.dumps({**good(1), **columns}).encode()


def keep(plant: Plant, *lines: bytes) -> tuple[str, ...]:
    sent = SentLines(lines=lines, numbers=range(1, len(lines) + 1))
    accepted = ingest(sent, readings, stream=plant.stores.stream, clock=plant.clock, bad=BadRows.KEEP)
    return tuple(row.letter for row in accepted.kept)


def found(plant: Plant, **wanted: Any) -> list[Letter]:
    return find_letters("readings", stream=plant.stores.stream, tables=plant.stores.tables, **wanted)


def counts(plant: Plant) -> dict[LetterState, int]:
    return count_letters("readings", stream=plant.stores.stream, tables=plant.stores.tables)


def replay(plant: Plant, source: Source = readings, **wanted: Any) -> letters.Replayed:
    return replay_letters(source, stream=plant.stores.stream, tables=plant.stores.tables, clock=plant.clock, **wanted)


def ship(plant: Plant) -> None:
    while ship_letters("readings", plant.stores.stream, plant.stores.tables):
        pass


def discard(plant: Plant, reason: str, **wanted: Any) -> int:
    return discard_letters(
        "readings",
        reason=reason,
        stream=plant.stores.stream,
        tables=plant.stores.tables,
        clock=plant.clock,
        **wanted,
    )


def counted(plant: Plant) -> float:
    plant.apply()
    plant.wait(1)
    return float(plant.read(plant.now_us).values[0, 0])


def with_text_in_pieces() -> Source:
    """The readings after `pieces` became a string."""
    schema = {f.name: oc.String if f.name == "pieces" else f.dtype for f in readings.schema if f.name != "shape"}
    return oc.Source("readings", event_time="happened", available_at="known", schema=schema, id=["number"])


def test_good_rows_are_taken_and_bad_ones_kept_as_they_were_sent() -> None:
    plant = Plant()
    wrong = b'{"number": 2,   "happened": 5}'
    [letter_id] = keep(plant, line(), wrong)
    [letter] = found(plant)
    assert (letter.id, letter.payload, letter.field) == (letter_id, wrong, "happened")
    assert letter.reason.startswith("happened: expected 'datetime', got 'int'; send an RFC 3339 time")
    assert (letter.received_at, letter.size_bytes, letter.is_cut) == (from_micros(START), len(wrong), False)
    assert counted(plant) == 1


def test_what_is_no_json_and_no_text_is_kept_too() -> None:
    plant = Plant()
    keep(plant, b'{"number": \xff\xfe}', b"number=5", b"[]", b"1,2", b"")
    assert sorted(letter.payload for letter in found(plant)) == [
        b"",
        b"1,2",
        b"[]",
        b"number=5",
        b'{"number": \xff\xfe}',
    ]
    assert "\\xff\\xfe" in " ".join(shown(letter).event for letter in found(plant))


def test_an_event_that_is_refused_twice_is_one_letter() -> None:
    plant = Plant()
    assert keep(plant, line(amount="x")) == keep(plant, line(amount="x"))
    assert len(found(plant)) == 1


def test_a_letter_is_found_by_its_state_reason_and_id_shipped_or_not() -> None:
    plant = Plant()
    [first] = keep(plant, line(amount="x"))
    ship(plant)
    [second] = keep(plant, line(zzz=1))
    assert [letter.id for letter in found(plant, reason="HOLDS 'ZZZ'")] == [second]
    assert [letter.id for letter in found(plant, ids=[first])] == [first]
    assert found(plant, state=LetterState.REPLAYED) == []
    assert len(found(plant, limit=1)) == 1
    before = found(plant)
    ship(plant)
    assert found(plant) == before
    assert counts(plant) == {LetterState.WAITING: 2}


def test_shipping_again_doubles_nothing() -> None:
    plant = Plant()
    keep(plant, line(amount="x"))
    assert ship_letters("readings", plant.stores.stream, plant.stores.tables) == 1
    assert ship_letters("readings", plant.stores.stream, plant.stores.tables) == 0
    table = plant.stores.tables.query("SELECT * FROM t", tables={"t": "dead_letters/readings"})
    assert table.num_rows == 1


def test_a_long_event_is_cut_and_can_only_be_discarded() -> None:
    plant = Plant()
    keep(plant, line(remark="x" * 100_000))
    [letter] = found(plant)
    assert (len(letter.payload), letter.is_cut) == (LONGEST_PAYLOAD_BYTES, True)
    assert letter.size_bytes > 100_000
    assert (replay(plant).replayed, replay(plant).refused) == (0, 1)
    assert "send the event again" in found(plant)[0].reason
    assert discard(plant, "too long") == 1


def test_a_replay_after_a_fix_takes_what_now_fits_and_counts_it_once() -> None:
    plant = Plant()
    keep(plant, line(number=1, pieces="many"), line(number=2, amount="x"))
    done = replay(plant, with_text_in_pieces())
    assert (done.replayed, done.refused) == (1, 1)
    assert counts(plant) == {LetterState.REPLAYED: 1, LetterState.WAITING: 1}
    assert replay(plant, with_text_in_pieces()).replayed == 0
    assert list(done.reasons.values()) == [1]


def test_a_replay_that_is_interrupted_before_it_is_noted_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Plant()
    early = {**good(7), "known": from_micros(START + 400 * SECOND).isoformat()}
    keep(plant, json.dumps(early).encode())
    plant.wait(400 * SECOND)

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(letters, "add_entries", crash)
        with pytest.raises(RuntimeError):
            replay(plant)
    assert replay(plant).replayed == 1
    assert counted(plant) == 1


def test_what_waits_on_has_its_new_reason() -> None:
    plant = Plant()
    keep(plant, line(pieces="many"))
    without = replace_schema(without="pieces")
    assert replay(plant, without).refused == 1
    assert "holds 'pieces', which source 'readings' does not have" in found(plant)[0].reason
    end = plant.stores.stream.end("dead.readings")
    replay(plant, without)
    assert plant.stores.stream.end("dead.readings") == end


def replace_schema(*, without: str) -> Source:
    schema = {f.name: f.dtype for f in readings.schema if f.name not in (without, "shape")}
    return oc.Source("readings", event_time="happened", available_at="known", schema=schema, id=["number"])


def test_many_letters_are_replayed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "LETTERS_AT_ONCE", 2)
    plant = Plant()
    keep(plant, *(line(number=number, pieces="many") for number in range(5)))
    assert replay(plant, with_text_in_pieces()).replayed == 5


def test_only_the_letters_that_were_named_are_replayed_or_discarded() -> None:
    plant = Plant()
    first, second = keep(plant, line(number=1, pieces="many"), line(number=2, pieces="many"))
    assert replay(plant, with_text_in_pieces(), ids=[first]).replayed == 1
    with pytest.raises(NotFound):
        replay(plant, ids=[first])
    assert discard(plant, "of a test", ids=[second]) == 1
    [discarded] = found(plant, state=LetterState.DISCARDED)
    assert (discarded.id, discarded.reason, discarded.payload) == (second, "of a test", line(number=2, pieces="many"))


def test_nothing_is_discarded_without_a_reason() -> None:
    plant = Plant()
    keep(plant, line(amount="x"))
    with pytest.raises(InvalidRequest, match="reason is empty"):
        discard(plant, " ")
    assert counts(plant) == {LetterState.WAITING: 1}


def test_rows_of_a_table_are_kept_with_their_types_and_replayed() -> None:
    plant = Plant()
    moments = pa.array([START] * 3, pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {"number": range(3), "happened": moments, "known": moments, "machine": pa.array(["a", "b", "a"]),
         "amount": [1.0, float("nan"), 2.0]}
    )  # fmt: skip
    sent = SentTable(table=table)
    accepted = ingest(sent, readings, stream=plant.stores.stream, clock=plant.clock, bad=BadRows.KEEP)
    assert (accepted.rows, accepted.bad, accepted.kept[0].row) == (2, 1, 1)
    [letter] = found(plant)
    kept = pa.ipc.open_stream(letter.payload).read_all()
    assert kept.schema == table.schema
    assert kept.drop_columns(["amount"]).equals(table.slice(1, 1).drop_columns(["amount"]))
    assert shown(letter).event.startswith("number=1, happened=2013-12-31T00:00:00+00:00,")
    assert replay(plant).refused == 1
    assert replay(plant, replace_schema(without="amount")).refused == 1


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_of_a_file_the_wrong_rows_are_kept(kind: str, tmp_path: Path) -> None:
    plant, path = Plant(), tmp_path / f"readings.{kind}"
    if kind == "jsonl":
        path.write_bytes(b"\n".join([line(number=1), b"\xff", line(number=2), line(amount=[])]))
    else:
        moments = pa.array([START] * 4, pa.timestamp("us", tz="UTC"))
        table = pa.table({"number": [1.0, 1.5, 2.0, 2.5], "happened": moments, "known": moments})
        pq.write_table(table.append_column("machine", pa.array(["a"] * 4)), path)
    accepted = ingest_file(path, readings, stream=plant.stores.stream, clock=plant.clock, bad=BadRows.KEEP)
    assert (accepted.rows, accepted.bad, [row.row for row in accepted.kept]) == (2, 2, [1, 3])
    assert counted(plant) == 2


def test_letters_of_large_events_are_written_in_parts() -> None:
    plant = Plant()
    refused = [
        Refused(row=n, field="", reason="wrong", payload=bytes(60_000) + bytes([n]), kind=PayloadKind.JSON)
        for n in range(20)
    ]
    keep_refused(refused, source="readings", stream=plant.stores.stream, clock=plant.clock)
    assert plant.stores.stream.end("dead.readings") > 1
    assert counts(plant) == {LetterState.WAITING: 20}


def test_what_is_no_letter_in_the_topic_is_named() -> None:
    plant = Plant()
    plant.stores.stream.publish("dead.readings", [b"hello"])
    with pytest.raises(IntegrityError, match=r"payload 0 of the topic 'dead.readings'"):
        found(plant)


def test_a_source_without_dead_letters_has_none() -> None:
    assert found(Plant()) == []
    assert replay(Plant()) == replace(replay(Plant()), replayed=0)
