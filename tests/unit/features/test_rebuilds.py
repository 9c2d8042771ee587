"""Which views a change of definitions makes to be built again."""

from types import ModuleType
from typing import Any

import pytest

import octavo as oc
from octavo.definitions.changes import Change, changes
from octavo.definitions.project import Project, collect
from octavo.features.online.rebuilds import with_rebuilds

SCHEMA = {"shop": oc.String, "at": oc.Timestamp, "known": oc.Timestamp, "amount": oc.Float64}


def shops(*features: Any, source: dict[str, Any] | None = None, key: str = "shop") -> Project:
    """A project of one view."""
    sales = oc.Source("sales", **({"event_time": "at", "schema": SCHEMA} | (source or {})))
    view = oc.FeatureView("spend", entity=oc.Entity("shop", key=key), key="shop", source=sales, features=features)
    module = ModuleType("shops")
    vars(module).update(spend=view)
    return collect(module, name="shops", code={})


MEAN = oc.mean("amount", over="24h")


def planned(before: Project, after: Project) -> dict[str, Change]:
    in_force = before.documents()
    found = (with_rebuilds(change, before=in_force, project=after) for change in changes(in_force, after))
    return {change.definition: change for change in found}


@pytest.mark.parametrize(
    "features",
    [
        [oc.mean("amount", over="24h", default=0, description="Spent.", expect=oc.expect(minimum=0))],
        [oc.mean("amount", over="24h", name="spent", deprecated="use takings")],
        [oc.sum("amount", over="24h")],
    ],
)
def test_what_the_states_hold_already_asks_for_nothing(features: list[Any]) -> None:
    change = planned(shops(MEAN), shops(*features))["view/spend"]
    assert (change.fields, change.materialize) == (("features",), ())


@pytest.mark.parametrize(
    "features",
    [[oc.mean("amount", over="7d")], [MEAN, oc.std("amount", over="24h")], [MEAN, oc.last("amount", over="1h")]],
)
def test_what_the_states_lack_is_built_again(features: list[Any]) -> None:
    assert planned(shops(MEAN), shops(*features))["view/spend"].materialize == ("spend",)


def test_a_new_view_is_to_be_built() -> None:
    in_force: dict[str, bytes] = {}
    project = shops(MEAN)
    found = [with_rebuilds(change, before=in_force, project=project) for change in changes(in_force, project)]
    assert {change.definition: change.materialize for change in found}["view/spend"] == ("spend",)


@pytest.mark.parametrize(
    ("source", "rebuilt"),
    [
        ({"available_at": "known"}, ("spend",)),
        ({"description": "What was paid.", "owner": "till"}, ()),
        ({"schema": {**SCHEMA, "tax": oc.Float64}, "id": list(SCHEMA)}, ()),
    ],
)
def test_a_source_that_means_something_else_has_its_views_built_again(
    source: dict[str, Any], rebuilt: tuple[str, ...]
) -> None:
    assert planned(shops(MEAN), shops(MEAN, source=source))["source/sales"].materialize == rebuilt
