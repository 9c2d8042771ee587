from types import ModuleType
from typing import Any

import pytest

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.definitions.project import Project, collect
from octavo.errors import NotFound
from octavo.features.catalog import list_sources, list_views, show_view
from octavo.features.declared import FeatureKind, find_declared, list_declared
from octavo.features.events.payloads import table_schema
from octavo.stores.memory import MemoryTables

rides = oc.Source(
    "rides",
    event_time="ended",
    schema={"ended": oc.Timestamp, "asked": oc.Timestamp, "driver": oc.String, "late": oc.Float64},
    owner="dispatch",
)
views = [
    FeatureView(
        name,
        entity=oc.Entity(f"{name}_driver", key="driver"),
        source=rides,
        features=[oc.count(over="1h", owner="fleet", deprecated="use rides")],
        description="Of a driver.",
        owner="dispatch",
    )
    for name in ("zebra", "antelope")
]


@oc.on_demand(default=0, owner="pricing", expect=oc.expect(minimum=0))
def is_day(asked: Any) -> Any:
    """Whether it is day."""
    raise AssertionError("not computed here")


LATE = oc.request("asked", oc.Timestamp, description="When the ride was asked for.")


@oc.model(features=[views[0], is_day, LATE], label=oc.Label(rides, "late", at="asked"), metrics=["mae"])
def lateness(train: oc.Dataset) -> None:
    raise AssertionError("not trained here")


@pytest.fixture
def project() -> Project:
    module = ModuleType("declared")
    vars(module).update(rides=rides, zebra=views[0], antelope=views[1], lateness=lateness)
    return collect(module, name="taxi", code={})


def test_sources_are_listed_with_what_reads_them(project: Project) -> None:
    tables = MemoryTables()
    (before,) = list_sources(project, tables)
    tables.ensure("events/rides", table_schema(rides))
    (after,) = list_sources(project, tables)
    assert (before.table_version, after.table_version) == (-1, 0)
    assert after.columns == {"ended": "timestamp", "asked": "timestamp", "driver": "string", "late": "float64"}
    assert (after.views, after.labels_of, after.owner) == (("antelope", "zebra"), ("lateness",), "dispatch")


def test_feature_views_are_listed_by_name_with_their_models(project: Project) -> None:
    assert [(view.name, view.models) for view in list_views(project)] == [("antelope", ()), ("zebra", ("lateness",))]


def test_a_feature_view_is_shown_by_name(project: Project) -> None:
    shown = show_view(project, "zebra")
    assert (shown.entities, shown.keys, shown.source) == (("zebra_driver",), ("driver",), "rides")
    assert [feature.name for feature in shown.features] == ["events_count_1h"]


def test_an_unknown_feature_view_is_not_found(project: Project) -> None:
    with pytest.raises(NotFound, match="did you mean 'zebra'"):
        show_view(project, "zebras")


def test_every_value_is_declared_with_its_kind_and_who_takes_it(project: Project) -> None:
    assert [(one.name, one.kind, one.models) for one in list_declared(project)] == [
        ("antelope__events_count_1h", FeatureKind.VIEW, ()),
        ("zebra__events_count_1h", FeatureKind.VIEW, ("lateness",)),
        ("is_day", FeatureKind.ON_DEMAND, ("lateness",)),
        ("asked", FeatureKind.REQUEST, ("lateness",)),
    ]


def test_a_feature_has_what_its_view_says_where_it_says_nothing(project: Project) -> None:
    found = find_declared(project, "zebra__events_count_1h")
    assert (found.description, found.owner, found.deprecated) == ("Of a driver.", "fleet", "use rides")


def test_an_on_demand_feature_has_all_that_is_said_of_it(project: Project) -> None:
    found = find_declared(project, "is_day")
    assert (found.description, found.owner, found.default) == ("Whether it is day.", "pricing", 0)
    assert (str(found.expect), found.takes, found.dtype) == ("at least 0", ("asked",), oc.Float64)
    assert find_declared(project, "asked").dtype is oc.Timestamp


def test_an_unknown_feature_is_answered_with_the_nearest(project: Project) -> None:
    with pytest.raises(NotFound, match="did you mean 'is_day'"):
        find_declared(project, "is_dax")
