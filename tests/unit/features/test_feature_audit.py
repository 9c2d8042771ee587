"""What an audit says of served values, on a small plant."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
from tests.plants import SECOND, Plant, machines, readings

import octavo as oc
from octavo.clock import from_micros
from octavo.definitions.features import FeatureView
from octavo.definitions.plans import plan_view
from octavo.features.audit.comparison import audit_view
from octavo.features.audit.reasons import FeatureAudit, Reason, merged
from octavo.features.audit.recomputed import AT, Served
from octavo.features.online.reader import OnlineReader
from octavo.features.values import FeatureStatus

MINUTE = 60 * SECOND
ROW = {"machine": "a", "plant": 1}
at_site = FeatureView(
    "at_site",
    entity=(oc.Entity("machine", key="machine"), oc.Entity("plant", key="plant", dtype=oc.Int64)),
    key=("machine", "site"),
    source=readings,
    features=[
        oc.count(over="1h"),
        oc.decayed_sum("amount", half_life="10m", over="1h"),
        oc.last_k("pieces", 2, over="1h"),
    ],
)


def reading(plant: Plant, *, known_us: int, number: int = 1, **changes: object) -> dict[str, object]:
    return {
        "number": number, "happened": plant.now_us - 5 * MINUTE, "known": plant.now_us + known_us, "machine": "a",
        "site": 1, "amount": 2.5, "pieces": 3, "passed": True, "remark": "fine", **changes,
    }  # fmt: skip


def served(plant: Plant, view: FeatureView, *, read_us: int | None = None) -> Served:
    """What a request that is made now is given; `read_us` is the moment that the store is asked for."""
    reader = OnlineReader(plant.stores.online, (plan_view(view),))
    read = reader.read([ROW], at_us=plant.now_us if read_us is None else read_us)
    moment = pa.array([from_micros(plant.now_us)], pa.timestamp("us", tz="UTC"))
    keys = {"machine": pa.array(["a"]), "plant": pa.array([1], pa.int64())}
    return Served(
        ids=np.array(["one"], object),
        spine=pa.table({**keys, AT: moment}),
        values=read.values,
        status=read.status,
        unread=np.zeros(1, np.bool_),
    )


def audited(plant: Plant, view: FeatureView, given: Served) -> tuple[FeatureAudit, ...]:
    plant.apply()
    plant.ship()
    return audit_view(plant.stores.tables, served_by=view, declared=view, served=given, lag=timedelta(hours=1))


def test_a_value_that_counts_what_was_not_known_yet_is_wrong_and_not_late() -> None:
    plant = Plant()
    plant.send([reading(plant, known_us=5 * MINUTE)])
    plant.apply()
    leaked = served(plant, machines, read_us=plant.now_us + 6 * MINUTE)
    plant.wait(MINUTE)
    reasons = {reason for feature in audited(plant, machines, leaked) for reason in feature.counts}
    assert Reason.STORE_WRONG in reasons
    assert Reason.LATE_DATA not in reasons


def test_what_the_request_brought_along_is_no_fault_of_the_store() -> None:
    plant = Plant()
    plant.send([reading(plant, known_us=-SECOND)])
    plant.apply()
    given = served(plant, machines)
    other = np.full_like(given.values, 77.0)
    sent = replace(given, values=other, status=np.full_like(given.status, FeatureStatus.SENT))
    assert all(feature.counts == {Reason.EQUAL: 1} for feature in audited(plant, machines, sent))
    wrong = replace(given, values=other, status=np.full_like(given.status, FeatureStatus.PRESENT))
    assert any(Reason.STORE_WRONG in feature.counts for feature in audited(plant, machines, wrong))


def test_features_of_several_entities_are_audited_by_all_their_keys() -> None:
    plant = Plant()
    plant.restart(at_site)
    plant.apply()
    plant.send([reading(plant, known_us=-SECOND), reading(plant, known_us=-SECOND, number=2, site=2)])
    plant.apply()
    sound = served(plant, at_site)
    assert all(feature.counts == {Reason.EQUAL: 1} for feature in audited(plant, at_site, sound))
    plant.wait(MINUTE)
    before = served(plant, at_site)
    plant.send([reading(plant, known_us=-2 * MINUTE, number=3)])
    [count, *_] = audited(plant, at_site, before)
    assert count.counts == {Reason.LATE_DATA: 1}
    assert [event.id for event in count.examples[0].events] == [{"number": "3"}]


def test_audits_of_several_lots_add_up() -> None:
    one = FeatureAudit(name="a", counts={"equal": 2, "late data": 1}, is_changed=False)
    other = FeatureAudit(name="a", counts={"equal": 3}, is_changed=True)
    alone = FeatureAudit(name="b", counts={"store wrong": 1}, is_changed=False)
    both = FeatureAudit(name="a", counts={"equal": 5, "late data": 1}, is_changed=True)
    assert merged([one, alone, other]) == (both, alone)
