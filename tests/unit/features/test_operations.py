"""Events and features through the dispatcher."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.plants import START, Plant, project_of, views

from octavo.clock import from_micros
from octavo.config import Config
from octavo.errors import InvalidRequest, NotAllowed, NotFound
from octavo.features.operations import IngestEvents, MaterializeFeatures, operations
from octavo.operations import SYSTEM, Context, Dispatcher, Principal

MOMENT = from_micros(START).isoformat()
ROW = {"number": 1, "happened": MOMENT, "known": MOMENT, "machine": "a"}


def dispatcher(plant: Plant) -> Dispatcher:
    context = Context(
        config=Config(root=Path()),
        clock=plant.clock,
        stores=plant.stores,
        project=project_of(*views),
        principal=SYSTEM,
    )
    return Dispatcher(operations, context)


def request(source: str, *rows: Any) -> IngestEvents:
    return msgspec.convert({"source": source, "rows": list(rows)}, IngestEvents)


def test_events_are_accepted_and_only_then_answered() -> None:
    plant = Plant()
    accepted = dispatcher(plant).call(request("readings", ROW, ROW), SYSTEM)
    assert msgspec.to_builtins(accepted) == {
        "source": "readings",
        "rows": 2,
        "offset": 1,
        "bad": 0,
        "kept": (),
    }
    assert plant.stores.stream.end("events.readings") == 1


def test_events_of_an_unknown_source_and_wrong_ones_are_refused() -> None:
    door = dispatcher(Plant())
    with pytest.raises(NotFound, match="readings"):
        door.call(request("reading", ROW), SYSTEM)
    with pytest.raises(InvalidRequest, match="machine"):
        door.call(request("readings", ROW | {"machine": 3}), SYSTEM)


def test_a_caller_without_the_permission_sends_nothing() -> None:
    plant = Plant()
    with pytest.raises(NotAllowed):
        dispatcher(plant).call(request("readings", ROW), Principal(name="reader", permissions=frozenset()))
    assert plant.stores.stream.end("events.readings") == 0


def test_materializing_by_name_or_all_is_audited() -> None:
    plant = Plant()
    door = dispatcher(plant)
    assert [done.view for done in door.call(MaterializeFeatures(views=("sites",)), SYSTEM)] == ["sites"]
    assert [done.view for done in door.call(MaterializeFeatures(), SYSTEM)] == ["machines", "sites"]
    with pytest.raises(NotFound, match="sites"):
        door.call(MaterializeFeatures(views=("site",)), SYSTEM)
    with plant.stores.metadata.transaction() as tx:
        assert [event.outcome for event in tx.audit()] == ["refused: not_found", "done", "done"]
