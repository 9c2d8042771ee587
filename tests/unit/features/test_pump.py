"""From the stream into states and tables."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.plants import SECOND, START, Plant, machines, project_of, readings, sites, views

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.errors import NotFound
from octavo.features.events.dead_letters import Letter, find_letters
from octavo.features.online.materialize import materialize, pending_views
from octavo.features.online.pump import Pump
from octavo.stores.memory import MemoryOnlineStore


def events(*numbers: int, **columns: Any) -> list[dict[str, Any]]:
    return [{"number": n, "happened": START, "known": START, "machine": "a", "site": 1, **columns} for n in numbers]


def counted(plant: Plant) -> float:
    return float(plant.read(START + SECOND).values[0, 0])


def shipped(plant: Plant) -> list[tuple[int, int]]:
    rows = plant.stores.tables.query(
        "SELECT number, _offset FROM events ORDER BY ALL", tables={"events": "events/readings"}
    )
    return list(zip(*rows.to_pydict().values(), strict=True))


def letters(plant: Plant) -> list[Letter]:
    return find_letters("readings", stream=plant.stores.stream, tables=plant.stores.tables)


def test_an_event_sent_again_counts_once_in_states_and_table() -> None:
    plant = Plant()
    plant.send(events(1, 1, 2))
    plant.send(events(2, 3))
    plant.apply()
    plant.send(events(1, 4))
    plant.apply()
    plant.ship()
    assert counted(plant) == 4
    assert shipped(plant) == [(1, 0), (2, 0), (3, 1), (4, 2)]


def test_a_payload_of_nothing_new_is_shipped_once() -> None:
    plant = Plant()
    plant.send(events(1))
    plant.send(events(1))
    plant.apply()
    plant.ship()
    assert shipped(plant) == [(1, 0)]
    assert plant.pump.ship("readings") == 0


def test_only_what_is_applied_is_shipped() -> None:
    plant = Plant()
    plant.send(events(1))
    plant.apply()
    plant.send(events(2))
    plant.ship()
    assert shipped(plant) == [(1, 0)]


def test_little_by_little_ends_like_all_at_once() -> None:
    plant = Plant()
    for number in range(5):
        plant.send(events(number))
    steps = 0
    while plant.pump.apply("readings", max_bytes=1):
        steps += 1
    assert (steps, counted(plant)) == (5, 5)


def test_the_backlog_tells_how_far_a_source_is() -> None:
    plant = Plant()
    for number in range(3):
        plant.send(events(number))
    plant.pump.apply("readings", max_bytes=1)
    plant.pump.apply("readings", max_bytes=1)
    plant.pump.ship("readings", max_bytes=1)
    backlog = plant.pump.backlog()["readings"]
    assert (backlog.published, backlog.applied, backlog.shipped) == (3, 2, 1)
    assert (backlog.unapplied, backlog.unshipped) == (1, 2)


def test_a_source_without_views_is_shipped_too() -> None:
    plant = Plant()
    pump = Pump(plant.stores, project_of(), plant.clock)
    plant.send(events(1, 1))
    assert pump.apply("readings") == 2
    pump.ship("readings")
    assert shipped(plant) == [(1, 0)]


def test_a_view_added_later_begins_with_its_materialization() -> None:
    plant = Plant()
    plant.restart(machines)
    plant.send(events(1))
    plant.apply()
    plant.ship()
    plant.restart(machines, sites)
    plant.send(events(2))
    plant.apply()
    place = len(machines.features)
    assert pending_views(plant.stores.online, project_of(machines, sites)) == (sites,)
    materialize(plant.stores, [sites], clock=plant.clock)
    plant.send(events(3))
    plant.apply()
    assert plant.read(START + SECOND).values[0, place] == 3
    assert pending_views(plant.stores.online, project_of(machines, sites)) == ()


def test_a_view_that_is_behind_does_not_hold_up_the_others() -> None:
    plant = Plant()
    plant.restart(machines)
    for number in range(4):
        plant.send(events(number))
        plant.apply()
    materialize(plant.stores, [sites], clock=plant.clock)
    plant.restart(machines, sites)
    plant.send(events(9))
    plant.pump.apply("readings", max_bytes=1)
    assert counted(plant) == 5
    assert plant.pump.backlog()["readings"].applied == 1


def test_states_are_built_from_the_table_when_the_online_store_was_lost() -> None:
    plant = Plant()
    plant.send(events(1, 2))
    plant.apply()
    plant.ship()
    plant.stores = replace(plant.stores, online=MemoryOnlineStore())
    plant.restart()
    materialize(plant.stores, [machines, sites], clock=plant.clock)
    plant.send(events(2, 3))
    assert plant.pump.apply("readings") == 2, "what the table holds need not be read from the stream again"
    plant.ship()
    assert counted(plant) == 3
    assert shipped(plant) == [(1, 0), (2, 0), (3, 1)]


def test_an_online_store_that_is_lost_meanwhile_is_built_again_from_the_table() -> None:
    plant = Plant()
    plant.send(events(1, 2))
    plant.apply()
    plant.ship()
    plant.stores = replace(plant.stores, online=MemoryOnlineStore())
    plant.restart()
    plant.send(events(2, 3))
    assert plant.pump.apply("readings") == 2
    assert counted(plant) == 3
    assert pending_views(plant.stores.online, project_of(*views)) == ()


def test_states_of_an_older_definition_stay_live_until_the_new_one_is_built() -> None:
    plant = Plant()
    plant.send(events(1))
    plant.apply()
    changed = FeatureView("machines", entity=machines.entities, source=readings, features=[oc.count(over="2h")])
    plant.restart(changed, sites)
    plant.send(events(2))
    plant.apply()
    assert counted(plant) == 2


def test_a_materialization_deletes_the_states_that_it_replaces() -> None:
    plant = Plant()
    plant.send(events(1))
    plant.apply()
    plant.ship()
    store = plant.stores.online
    assert isinstance(store, MemoryOnlineStore)
    before = {key for key in store._values if key.startswith(b"state\0machines")}
    materialize(plant.stores, [machines], clock=plant.clock, force=True)
    after = {key for key in store._values if key.startswith(b"state\0machines")}
    assert len(before) == len(after) == 1
    assert before != after


def test_a_view_that_is_up_to_date_is_left_alone() -> None:
    plant = Plant()
    plant.send(events(1))
    plant.apply()
    plant.ship()
    [done] = materialize(plant.stores, [machines], clock=plant.clock)
    assert (done.entities, done.applied) == (0, 1)


def test_materialized_states_equal_applied_ones_to_the_age_and_status() -> None:
    plant = Plant()
    days_30 = 30 * 86_400 * SECOND
    plant.send(events(1, happened=START - days_30, known=START - days_30, amount=1.0, passed=True))
    plant.apply()
    plant.ship()
    applied = plant.read(START)
    materialize(plant.stores, [machines, sites], clock=plant.clock, force=True)
    built = plant.read(START)
    assert applied.status.tolist() == built.status.tolist()
    assert applied.ages_s.tobytes() == built.ages_s.tobytes()


def test_progress_is_told() -> None:
    plant, told = Plant(), []
    materialize(plant.stores, [machines, sites], clock=plant.clock, progress=lambda *step: told.append(step))
    assert [fraction for fraction, _ in told] == [0, 0.5, 1]


def test_a_payload_of_something_else_becomes_a_dead_letter_and_stops_nothing() -> None:
    plant = Plant()
    plant.stores.stream.publish("events.readings", [b"no events"])
    plant.send(events(1))
    plant.apply()
    plant.ship()
    [letter] = letters(plant)
    assert "payload 0 of topic 'events.readings' holds no events" in letter.reason
    assert (letter.payload, counted(plant), shipped(plant)) == (b"no events", 1, [(1, 1)])


def test_messages_of_another_application_are_taken_row_by_row() -> None:
    plant = Plant()
    good = {"number": 1, "happened": "2013-12-31T00:00:00Z", "known": "2013-12-31T00:00:00Z", "machine": "a", "site": 1}
    bad = {**good, "number": "two"}
    for message in (good, [good, bad, {**good, "number": 3}], [], [{**good, "known": None}]):
        plant.stores.stream.publish("events.readings", [msgspec.json.encode(message)])
    plant.stores.stream.publish("events.readings", [b"{"])
    plant.apply()
    plant.ship()
    assert counted(plant) == 2
    assert shipped(plant) == [(1, 0), (3, 1)]
    assert sorted(letter.field for letter in letters(plant)) == ["", "known", "number"]
    assert plant.pump.backlog()["readings"].unshipped == 0


def test_what_was_refused_when_it_was_read_is_not_shipped_later() -> None:
    plant = Plant()
    early = {"number": 1, "happened": "2013-12-31T00:00:00Z", "known": "2013-12-31T01:00:00Z", "machine": "a"}
    plant.stores.stream.publish("events.readings", [msgspec.json.encode(early)])
    plant.apply()
    plant.wait(3_600 * SECOND)
    plant.ship()
    assert shipped(plant) == []
    assert [letter.field for letter in letters(plant)] == ["known"]


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(NotFound, match="did you mean 'readings'"):
        Plant().pump.apply("reading")
