"""Features of a request: looked up together, and replaced by what stands in where the store is gone or lacks a view."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from tests.plants import START, Plant, machines, readings

import octavo as oc
from octavo.definitions.plans import plan_view
from octavo.errors import Unavailable
from octavo.features.online.materialize import materialize
from octavo.features.online.reader import OnlineReader
from octavo.features.values import FeatureStatus
from octavo.serving.lookup import FeatureLookup, LookedUp
from octavo.stores.inline import InlineReader
from octavo.stores.memory import MemoryOnlineStore

other = oc.FeatureView("others", entity=machines.entities, source=readings, features=[oc.count(over="1h", default=7)])


class Gone:
    """A store that cannot be read."""

    retries = 0

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        raise Unavailable("gone")

    def close(self) -> None:
        """There is nothing."""


def plant_with(**values: float) -> Plant:
    """A plant with one event of machine a, of which only the machines are a view."""
    plant = Plant()
    plant.restart(machines)
    plant.send([{"number": 1, "happened": START, "known": START, "machine": "a"} | values])
    plant.apply()
    return plant


def look_up(lookup: FeatureLookup, *machines: str) -> LookedUp:
    return asyncio.run(lookup.read({"machine": machines}, n_rows=len(machines), at_us=START + 1))


def test_rows_are_looked_up_as_by_who_waits_for_the_store() -> None:
    plant = plant_with(amount=3.0)
    views = (plan_view(machines),)
    found = look_up(FeatureLookup(InlineReader(plant.stores.online), views), "a", "b", "a")
    reader = OnlineReader(plant.stores.online, views)
    expected = reader.read([{"machine": key} for key in ("a", "b", "a")], at_us=START + 1)
    assert not found.degraded
    for ours, theirs in zip(found.values, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_store_that_cannot_be_read_is_no_reason_not_to_answer() -> None:
    found = look_up(FeatureLookup(Gone(), (plan_view(other),)), "a", "b")
    assert found.degraded
    assert found.unread == ("others__events_count_1h",)
    assert found.values.values.tolist() == [[7.0], [7.0]]
    assert (found.values.status == FeatureStatus.UNREAD).all()


def test_of_a_view_that_the_store_lacks_the_inputs_are_named() -> None:
    plant = plant_with()
    found = look_up(FeatureLookup(InlineReader(plant.stores.online), (plan_view(machines), plan_view(other))), "a")
    assert (found.degraded, found.unread) == (True, ("others__events_count_1h",))


def test_a_view_that_comes_to_be_between_two_reads_is_found() -> None:
    plant = plant_with()
    lookup = FeatureLookup(InlineReader(plant.stores.online), (plan_view(other),))
    assert look_up(lookup, "a").degraded
    plant.restart(machines, other)
    plant.ship()
    materialize(plant.stores, [other], clock=plant.clock)
    found = look_up(lookup, "a")
    assert (found.degraded, found.values.values.tolist()) == (False, [[1.0]])


def test_a_damaged_state_is_told_and_its_rows_are_unread(caplog: pytest.LogCaptureFixture) -> None:
    plant = plant_with()
    store = plant.stores.online
    assert isinstance(store, MemoryOnlineStore)
    damaged = {key: b"damaged" for key in store._values if key.startswith(b"state")}
    store.write(damaged, marks={})
    found = look_up(FeatureLookup(InlineReader(store), (plan_view(machines),)), "a")
    assert (found.degraded, set(found.values.status.ravel().tolist())) == (True, {FeatureStatus.UNREAD})
    assert "features could not be looked up" in caplog.text


def test_a_model_without_views_asks_nobody() -> None:
    found = look_up(FeatureLookup(Gone(), ()), "a")
    assert (found.degraded, found.values.values.shape) == (False, (1, 0))


def test_lookups_under_way_are_not_mixed_up_when_a_view_is_built_anew() -> None:
    plant = plant_with(amount=3.0)
    plant.ship()
    lookup = FeatureLookup(Slow(plant.stores.online), (plan_view(machines),))

    async def both() -> tuple[LookedUp, LookedUp]:
        first = asyncio.ensure_future(lookup.read({"machine": ["a"]}, n_rows=1, at_us=START + 1))
        await asyncio.sleep(0)
        materialize(plant.stores, [machines], clock=plant.clock, force=True)
        return await lookup.read({"machine": ["a"]}, n_rows=1, at_us=START + 1), await first

    one, other = asyncio.run(both())
    np.testing.assert_array_equal(one.values.values, other.values.values)


class Slow(InlineReader):
    """Answers some turns later, with what stood there when it was asked."""

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = await super().read(keys)
        for _ in range(3):
            await asyncio.sleep(0)
        return found
