"""The pump over the stores of a real project, killed again and again."""

import random
from pathlib import Path

from octavo.features.events.payloads import topic_of
from octavo.stores.delta import DeltaTables
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from octavo.stores.memory import MemoryArtifacts, MemoryMetadata, MemoryNotifier
from octavo.stores.ports import Stores
from tests.integration.stores.processes import python
from tests.plants import Plant, check, random_events

PUMP = """
import sys
from pathlib import Path
from tests.integration.features.test_pump_killed import local_stores
from tests.plants import Plant

plant = Plant(stores=local_stores(Path(sys.argv[1]), writes_online=True))
while True:
    if plant.pump.apply("readings", max_bytes=1) + plant.pump.ship("readings", max_bytes=10_000):
        print("pumped", flush=True)
"""


def local_stores(folder: Path, *, writes_online: bool) -> Stores:
    return Stores(
        metadata=MemoryMetadata(),
        tables=DeltaTables(folder / "tables"),
        online=LmdbOnlineStore(folder / "online", readonly=not writes_online),
        stream=LocalLog(folder / "stream", sync=False),
        artifacts=MemoryArtifacts(),
        notifier=MemoryNotifier(),
    )


def test_killed_again_and_again_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    plant = Plant(stores=local_stores(tmp_path, writes_online=False))
    for pumped in (3, 1, 5):
        for _ in range(8):
            plant.send(random_events(chance, now_us=plant.now_us, n=3))
            plant.send([{k: v for k, v in e.items() if k != "_event_id"} for e in chance.sample(plant.events, 2)])
        with python(PUMP, tmp_path) as child:
            assert [child.line() for _ in range(pumped)] == ["pumped"] * pumped
    plant = Plant(stores=local_stores(tmp_path, writes_online=True), events=plant.events)
    plant.apply()
    plant.ship()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    rows = plant.stores.tables.query(
        "SELECT _event_id AS id, _offset FROM events", tables={"events": "events/readings"}
    )
    assert sorted(map(str, rows.column("id").to_pylist())) == sorted(
        {str(event["_event_id"]) for event in plant.events}
    )
    assert max(rows.column("_offset").to_pylist()) < plant.stores.stream.end(topic_of("readings"))


def test_another_process_reads_what_the_pump_has_applied(tmp_path: Path) -> None:
    plant = Plant(stores=local_stores(tmp_path, writes_online=False))
    plant.send(random_events(random.Random(3), now_us=plant.now_us, n=40))
    with python(PUMP, tmp_path) as child:
        assert child.line() == "pumped"
        check(plant.read(plant.now_us), plant.events, plant.now_us)
