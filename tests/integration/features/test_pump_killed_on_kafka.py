"""The pump of a project whose stream is in Kafka, killed again and again."""

import random
from dataclasses import replace
from pathlib import Path

from octavo.features.online.backlog import backlog
from octavo.stores.kafka import KafkaAddress, KafkaStream
from octavo.stores.ports import Stores
from tests.brokers import Brokers
from tests.integration.features.test_pump_killed import local_stores
from tests.integration.stores.processes import python
from tests.plants import Plant, check, project_of, random_events, views

PUMP = """
import sys
from pathlib import Path
from tests.integration.features.test_pump_killed_on_kafka import stores_on_kafka
from tests.plants import Plant

plant = Plant(stores=stores_on_kafka(Path(sys.argv[1]), sys.argv[2], writes_online=True))
while True:
    if plant.pump.apply("readings", max_bytes=1) + plant.pump.ship("readings", max_bytes=10_000):
        print("pumped", flush=True)
"""


def stores_on_kafka(folder: Path, servers: str, *, writes_online: bool) -> Stores:
    stream = KafkaStream(KafkaAddress(servers=servers, prefix="plant", create=False))
    return replace(local_stores(folder, writes_online=writes_online), stream=stream)


def test_killed_again_and_again_it_loses_and_doubles_nothing(tmp_path: Path, brokers: Brokers) -> None:
    brokers.make("plant.events.readings", partitions=3)
    chance = random.Random(11)
    plant = Plant(stores=stores_on_kafka(tmp_path, brokers.servers, writes_online=False))
    for pumped in (2, 1):
        for _ in range(6):
            plant.send(random_events(chance, now_us=plant.now_us, n=6))
            plant.send([{k: v for k, v in e.items() if k != "_event_id"} for e in chance.sample(plant.events, 2)])
        with python(PUMP, tmp_path, brokers.servers) as child:
            assert [child.line() for _ in range(pumped)] == ["pumped"] * pumped
    plant.stores.stream.close()
    plant = Plant(stores=stores_on_kafka(tmp_path, brokers.servers, writes_online=True), events=plant.events)
    plant.apply()
    plant.ship()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    rows = plant.stores.tables.query("SELECT _event_id AS id FROM events", tables={"events": "events/readings"})
    assert sorted(map(str, rows.column("id").to_pylist())) == sorted({str(e["_event_id"]) for e in plant.events})
    assert backlog(plant.stores, project_of(*views), "readings").unshipped == 0
    plant.stores.stream.close()
