"""Events, predictions and outcomes of the showroom."""

import random
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import numpy as np

from octavo.clock import ManualClock, to_micros
from octavo.features.events.dead_letters import keep_refused
from octavo.features.events.ingest import ingest_rows
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes, ship_outcomes
from octavo.monitoring.prediction_log import ship_predictions
from octavo.serving.recorder import TOPIC
from octavo.serving.records import PredictionRecord
from octavo.stores.memory import MemoryEventStream
from octavo.stores.ports import Stores
from tests.showrooms.composed import calls
from tests.showrooms.declared import arrival_delay, landings
from tests.showrooms.moments import DAY, HOUR, NOW, predicted_at, prediction_id

PREDICTIONS, UNKNOWN_OUTCOMES = 1_000, 30


def record_predictions(stores: Stores, digests: dict[int, str], text: str) -> None:
    """Predictions of ``eta`` with their outcomes, which the newest wait for still; and those of ``trouble``."""
    chance, log = random.Random(7), MemoryEventStream()
    records = [_prediction(place, digests, chance, text) for place in range(PREDICTIONS)]
    shadow = msgspec.structs.replace(records[40], version=4, digest=digests[4], arm="shadow", output=11.5)
    log.publish(TOPIC, [msgspec.msgpack.encode(record) for record in (*records, shadow, *calls(text))])
    while ship_predictions(log, stores.tables):
        pass
    record_outcomes(_outcomes(records, chance), stream=stores.stream, clock=ManualClock(NOW))
    while ship_outcomes(stores.stream, stores.tables):
        pass


def send_events(stores: Stores, text: str) -> None:
    """One flight, on its way into the tables, and one that could not be taken."""
    row = {
        "flight": "B6 1", "origin": "JFK", "tailnum": "N001JB", "decided_at": "2013-05-20T08:00:00Z",
        "landed_at": "2013-05-20T11:00:00Z", "distance": 1089.0, "arr_delay": 3.0,
    }  # fmt: skip
    ingest_rows([row], landings, stream=stores.stream, clock=ManualClock(NOW))
    wrong = Refused(row=0, field="origin", reason=f"origin: {text}", payload=text.encode(), kind=PayloadKind.JSON)
    keep_refused([wrong], source="landings", stream=stores.stream, clock=ManualClock(NOW))


def _prediction(place: int, digests: dict[int, str], chance: random.Random, text: str) -> PredictionRecord:
    at, n = predicted_at(place), len(arrival_delay.input_names)
    values = np.array([chance.gauss(8 + i, 12) for i in range(n)], dtype="<f4")
    status = bytearray(n)
    status[5] = place % 3
    if status[5]:
        values[5] = np.nan
    is_canary = place % 10 == 0 and at > NOW - 2 * HOUR
    version = 4 if is_canary else 2 if at > NOW - 4 * DAY else 1
    return PredictionRecord(
        id=prediction_id(place),
        at_us=to_micros(at),
        deployment="eta",
        model="arrival_delay",
        version=version,
        digest=digests[version],
        arm="canary" if is_canary else "live",
        entities={"origin": ("JFK", "EWR", "LGA")[place % 3], "tailnum": f"N{place % 40:03d}JB"},
        request={"distance": 1_089.0 + place, "flight": text},
        inputs=values.tobytes(),
        status=bytes(status),
        ages_s=np.linspace(60, 40_000, n, dtype="<f4").tobytes(),
        output=float(values[0] * 1.1),
        latency_us=int(chance.lognormvariate(7.4, 0.4)),
        caller="admin/1f3a09c2",
        trace="",
    )


def _outcomes(records: Sequence[PredictionRecord], chance: random.Random) -> list[OutcomeRow]:
    return [
        OutcomeRow(
            prediction=record.id,
            value=record.output + chance.gauss(1, 14),
            known_at=predicted_at(place) + timedelta(minutes=90 + chance.random() * 100),
        )
        for place, record in enumerate(records)
        if place >= UNKNOWN_OUTCOMES
    ]
