"""What is accepted is carried on: at once into states, and into tables when someone asks or a moment has passed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.stages import DEPLOYMENT, MODEL, Stage, landings, set_stage

from octavo.clock import to_micros
from octavo.config import Config
from octavo.errors import Conflict, NotFound, Unavailable
from octavo.features.events.dead_letters import keep_refused
from octavo.features.events.ingest import ingest_rows
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.features.online.backlog import backlog
from octavo.identifiers import new_id
from octavo.loop import carrier as carrier_module
from octavo.loop.carrier import Carrier, bring_events_into_tables
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes
from octavo.operations import Context
from octavo.serving.recorder import TOPIC
from octavo.serving.records import PredictionRecord
from octavo.stores.memory import MemoryEventStream
from octavo.stores.open import open_stores
from octavo.stores.ownership import own_online
from octavo.stores.partitions import partition_name, split_partition

PATIENCE_S = 20.0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def carrier_of(stage: Stage, records: MemoryEventStream) -> Carrier:
    return Carrier(stage.context, shipping=stage.context.stores.stream, records=lambda: {0: records})


def send(stage: Stage, *flights: str) -> None:
    at = stage.clock.now()
    rows = [
        {"flight": flight, "origin": "JFK", "distance": 1.0, "decided_at": at - timedelta(hours=3), "landed_at": at,
         "arr_delay": 5.0}
        for flight in flights
    ]  # fmt: skip
    ingest_rows(rows, landings, stream=stage.context.stores.stream, clock=stage.clock)


def predict(stage: Stage, records: MemoryEventStream) -> str:
    record = PredictionRecord(
        id=new_id(stage.clock), at_us=to_micros(stage.clock.now()), deployment=DEPLOYMENT, model=MODEL, version=1,
        digest="", arm="live", entities={}, request={}, inputs=b"", status=b"", ages_s=b"", output=1.0, latency_us=1,
        caller="", trace="",
    )  # fmt: skip
    records.publish(TOPIC, [msgspec.msgpack.encode(record)])
    return record.id


def counted(stage: Stage, table: str) -> int:
    try:
        rows = stage.context.stores.tables.query("SELECT count(*) AS n FROM t", tables={"t": table})
    except NotFound:
        return 0
    return int(rows.column("n")[0].as_py())


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.005)


@contextmanager
def running(carrier: Carrier) -> Iterator[None]:
    carrier.start()
    try:
        yield
    finally:
        carrier.stop()


def test_who_asks_finds_all_that_was_accepted_before_in_the_tables(stage: Stage) -> None:
    records = MemoryEventStream()
    carrier = carrier_of(stage, records)
    for flight in ("a", "b", "a"):
        send(stage, flight)
    record_outcomes(
        [OutcomeRow(prediction=predict(stage, records), value=3.0)],
        stream=stage.context.stores.stream,
        clock=stage.clock,
    )
    carrier.ship_all()
    assert [counted(stage, table) for table in ("events/landings", "predictions", "outcomes")] == [2, 1, 1]
    carrier.ship_all()
    assert counted(stage, "events/landings") == 2


def test_asking_when_nothing_is_new_touches_no_table(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = carrier_of(stage, MemoryEventStream())
    send(stage, "a")
    carrier.ship_all()
    version = stage.context.stores.tables.version("events/landings")
    monkeypatch.setattr(stage.context.stores.tables, "written", lambda *_: pytest.fail("a table was asked"))
    carrier.ship_all()
    assert stage.context.stores.tables.version("events/landings") == version


def test_events_are_applied_and_shipped_as_they_come(stage: Stage) -> None:
    records = MemoryEventStream()
    with running(carrier_of(stage, records)):
        send(stage, "a", "b")
        until(lambda: backlog(stage.context.stores, stage.context.project, "landings").applied == 1)
        predict(stage, records)
        until(lambda: (counted(stage, "events/landings"), counted(stage, "predictions")) == (2, 1))
        send(stage, "c")
        until(lambda: counted(stage, "events/landings") == 3)


def test_what_was_accepted_last_is_shipped_at_the_end(stage: Stage) -> None:
    carrier = carrier_of(stage, MemoryEventStream())
    with running(carrier):
        until(lambda: carrier.apply_all() == 0)
        send(stage, "a")
    assert counted(stage, "events/landings") == 1


def test_a_store_that_was_away_is_used_again_when_it_is_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "_PAUSE_AFTER_FAILURE_S", 0.01)
    failing = [Unavailable("the disk is away")] * 3
    append = stage.context.stores.tables.append

    def append_when_back(*arguments: object, **named: object) -> bool:
        if failing:
            raise failing.pop()
        return append(*arguments, **named)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(stage.context.stores.tables, "append", append_when_back)
    send(stage, "a")
    with running(carrier_of(stage, MemoryEventStream())):
        until(lambda: counted(stage, "events/landings") == 1)
    assert not failing


class Share:
    """The partitions of every topic that one of several workers has."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def mine(self, topic: str) -> tuple[str, ...]:
        return tuple(partition_name(topic, number) for number in self.numbers)

    def applied(self, log: str, offset: int) -> None:
        assert log in self.mine(split_partition(log)[0])

    def close(self) -> None:
        self.numbers = ()


@pytest.fixture
def parted(stage: Stage) -> Stage:
    """A stage whose stream has two partitions, with events in both."""
    stream = MemoryEventStream(partitions=2)
    made = Stage(replace(stage.context, stores=replace(stage.context.stores, stream=stream)), stage.clock)
    send(made, *"abcdefgh")
    return made


def sharing(stage: Stage, group: Share) -> Carrier:
    return Carrier(stage.context, shipping=stage.context.stores.stream, records=dict, group=group)


def test_each_of_two_workers_carries_its_own_partitions(parted: Stage) -> None:
    first, second = sharing(parted, Share(0)), sharing(parted, Share(1))
    first.apply_all()
    assert backlog(parted.context.stores, parted.context.project, "landings").unapplied == 1
    with running(first):
        second.ship_all()
    assert counted(parted, "events/landings") == 8


def test_partitions_that_a_worker_takes_over_are_carried_on_at_once(parted: Stage) -> None:
    group = Share(0)
    carrier = sharing(parted, group)
    carrier.apply_all()
    group.numbers = (0, 1)
    carrier.ship_all()
    assert counted(parted, "events/landings") == 8


def test_who_asks_for_all_is_told_when_another_worker_does_not_do_its_part(
    parted: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier_module, "_WAIT_FOR_WORKER_S", 0.1)
    with pytest.raises(Unavailable, match="another worker, which carries some partitions of 'landings'"):
        sharing(parted, Share(0)).ship_all()


def test_a_command_brings_events_into_tables_itself_where_it_may(stage: Stage) -> None:
    send(stage, "a", "b")
    bring_events_into_tables(stage.context)
    assert counted(stage, "events/landings") == 2


def reading(stage: Stage, folder: Path) -> Context:
    """The context of a command that does not write online features."""
    config = Config(root=folder)
    return replace(stage.context, config=config, stores=open_stores(config, writes_online=False))


def test_a_command_that_may_not_says_what_does(stage: Stage, tmp_path: Path) -> None:
    context = reading(stage, tmp_path)
    here = Stage(context, stage.clock)
    bring_events_into_tables(context)
    send(here, "a")
    with pytest.raises(Conflict, match="octavo up"):
        bring_events_into_tables(context)


def test_a_command_waits_for_the_worker(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "_WAIT_FOR_WORKER_S", 0.1)
    context = reading(stage, tmp_path)
    send(Stage(context, stage.clock), "a")
    lock = own_online(context.config)
    with pytest.raises(Unavailable, match=r"worker\.log"):
        bring_events_into_tables(context)
    lock.release()


def test_dead_letters_are_shipped_into_their_table(stage: Stage) -> None:
    wrong = Refused(row=0, field="", reason="no JSON", payload=b"?", kind=PayloadKind.JSON)
    keep_refused([wrong], source="landings", stream=stage.context.stores.stream, clock=stage.clock)
    carrier_of(stage, MemoryEventStream()).ship_all()
    assert counted(stage, "dead_letters/landings") == 1
