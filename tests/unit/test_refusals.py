"""What cannot be right is refused where it is declared or applied, with the reason and what to do about it."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest

import octavo as oc
from octavo.definitions.project import Project, collect
from octavo.definitions.warnings import warnings_of
from octavo.errors import InvalidDefinition, NotFound

SCHEMA = {
    "card": oc.String,
    "paid": oc.Timestamp,
    "disputed": oc.Timestamp,
    "amount": oc.Float64,
    "fraud": oc.Bool,
}
card = oc.Entity("card", key="card")
AMOUNT = oc.request("amount", oc.Float64)
WRONG_DEFAULT: Any = {"default": "0"}
WRONG_EXPECTATION: Any = {"expect": (0, 1)}


payments = oc.Source("payments", event_time="paid", available_at="disputed", schema=SCHEMA)
known_at_once = oc.Source("payments", event_time="paid", schema=SCHEMA)


def view(source: oc.Source | None = None, *features: Any, name: str = "cards") -> oc.FeatureView:
    made = features or (oc.mean("amount", over="7d"),)
    return oc.FeatureView(name, entity=card, source=source or payments, features=made)


def project(*inputs: Any, source: oc.Source | None = None, above: float | None = None) -> Project:
    """A project with one model of fraud."""
    label = oc.Label(source or payments, "fraud", at="paid", above=above)

    @oc.model(features=inputs, label=label, metrics=["mae"])
    def fraud(train: oc.Dataset) -> None:
        raise AssertionError("not trained here")

    module = ModuleType("bank")
    vars(module).update(fraud=fraud)
    return collect(module, name="bank", code={})


def refused(declare: Callable[[], object], *says: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        declare()
    for word in says:
        assert word in caught.value.message


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    refused(lambda: view(None, oc.mean("amuont", over="1h")), "no column 'amuont'", "amount")


def test_a_window_too_short_for_its_tiles_is_refused() -> None:
    refused(lambda: oc.mean("amount", over="30s"), "30s", "a minute")


def test_a_window_longer_than_a_year_is_refused() -> None:
    refused(lambda: oc.mean("amount", over="400d"), "366 days")


@pytest.mark.parametrize("rank", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_quantile_out_of_range_is_refused(rank: float) -> None:
    refused(lambda: oc.quantile("amount", rank, over="1h"), "not between 0 and 1")


def test_two_features_of_one_name_are_refused() -> None:
    refused(lambda: view(None, oc.mean("amount", over="1h"), oc.mean("amount", over="1h")), "amount_mean_1h", "twice")


def test_a_view_and_a_request_field_of_one_name_are_refused() -> None:
    refused(lambda: project(view(name="amount"), AMOUNT), "'amount' names two", "rename")


def test_a_key_of_two_types_is_refused() -> None:
    number = oc.request("card", oc.Int64)
    refused(lambda: project(view(), number), "'card' is int64", "declare both alike")


def test_functions_that_take_each_other_in_a_circle_are_refused() -> None:
    @oc.on_demand
    def chicken(egg: Any) -> Any:
        return egg

    @oc.on_demand
    def egg(chicken: Any) -> Any:
        return chicken

    refused(lambda: project(view(), chicken, egg), "chicken", "egg")


def test_the_label_as_a_request_field_is_refused() -> None:
    refused(lambda: project(view(), oc.request("fraud", oc.Bool)), "leak")


def test_a_feature_of_a_label_that_is_known_at_the_decision_is_refused() -> None:
    for feature in (oc.mean("fraud", over="30d"), oc.rate("fraud == True", name="bad", over="30d")):
        told = view(known_at_once, feature)
        refused(partial(project, told, source=known_at_once), "the moment of the decision (a leak)", "available_at=")


def test_a_feature_of_a_label_that_is_known_later_is_not_refused() -> None:
    assert project(view(payments, oc.mean("fraud", over="30d"))).models


def test_when_the_label_becomes_known_is_no_request_field() -> None:
    refused(lambda: project(view(), oc.request("disputed", oc.Timestamp)), "'disputed'", "leak")


def test_a_column_named_as_the_label_that_another_source_knows_at_once_is_suspected() -> None:
    other = oc.Source("disputes", event_time="paid", schema=SCHEMA)
    found = warnings_of(project(view(other, oc.mean("fraud", over="30d"))))
    assert len(found) == 1
    assert "made from 'fraud' of source 'disputes', named as the label" in found[0]


@pytest.mark.parametrize(("ttl", "is_refused"), [("30m", True), ("1h", False)])
def test_a_value_stale_before_its_source_is_refreshed_is_refused(ttl: str, is_refused: bool) -> None:
    daily = oc.SQLSource(
        "totals",
        sql="SELECT card, paid, sum(amount) AS total FROM payments GROUP BY ALL",
        inputs=[payments],
        schema={"card": oc.String, "paid": oc.Timestamp, "total": oc.Float64},
        event_time="paid",
        id=["card", "paid"],
        every="1h",
    )
    module = ModuleType("bank")
    vars(module).update(cards=view(daily, oc.latest("total", ttl=ttl)))
    if is_refused:
        refused(lambda: collect(module, name="bank", code={}), "stale from 1800 s on", "every 3600 s", "raise ttl")
    else:
        assert collect(module, name="bank", code={}).views


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: oc.mean("amount", over="1h", default=float("nan")), "no finite number"),
        (lambda: oc.mean("amount", over="1h", **WRONG_DEFAULT), "no finite number"),
        (lambda: oc.mean("amount", over="1h", deprecated=" "), "say what to take instead"),
        (lambda: oc.mean("amount", over="1h", **WRONG_EXPECTATION), "oc.expect"),
        (lambda: oc.mean("amount", over="1h", expect=oc.expect(categories=["a"])), "cannot be expected"),
        (lambda: oc.request("card", oc.String, default=1), "nothing can stand in"),
        (lambda: oc.request("card", oc.String, expect=oc.expect(minimum=1)), "cannot be expected"),
        (lambda: oc.expect(), "says nothing"),
        (lambda: oc.expect(minimum=2, maximum=1), "swap them"),
        (lambda: oc.expect(minimum=float("nan")), "not NaN"),
        (lambda: oc.expect(nulls=5), "no share"),
        (lambda: oc.expect(minimum=1, categories=[1]), "not both"),
    ],
)
def test_what_is_said_of_a_feature_is_checked(declare: Callable[[], object], says: str) -> None:
    refused(declare, says)


def test_a_misspelt_argument_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean 'default'"):
        oc.mean("amount", over="1h", defualt=0)  # type: ignore[call-arg]  # as a user might


def test_what_a_model_takes_that_is_deprecated_is_told() -> None:
    old = view(None, oc.mean("amount", over="7d", deprecated="use amount_mean_1h"))
    (warning,) = warnings_of(project(old))
    assert warning == "model 'fraud' takes cards__amount_mean_7d, which is deprecated: use amount_mean_1h"
