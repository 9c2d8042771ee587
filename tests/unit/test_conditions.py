"""Conditions and the features that have them, as users declare them."""

import pytest

import octavo as oc
from octavo.definitions.aggregates import Aggregate
from octavo.definitions.conditions import parse_condition
from octavo.definitions.features import Feature
from octavo.errors import InvalidDefinition

sales = oc.Source(
    "sales",
    event_time="at",
    schema={
        "at": oc.Timestamp,
        "shop": oc.String,
        "amount": oc.Float64,
        "units": oc.Int64,
        "is_paid": oc.Bool,
        "from": oc.String,
    },
)


def view(*features: Aggregate) -> oc.FeatureView:
    return oc.FeatureView("v", entity=oc.Entity("shop", key="shop"), source=sales, features=features)


def only(feature: Aggregate) -> Feature:
    [made] = view(feature).features
    return made


def test_a_condition_is_kept_in_one_way_however_it_was_written() -> None:
    for text in ("amount>1 and shop=='a'", '  (amount > 1.0) and (shop == "a")  '):
        assert str(parse_condition(text)) == "amount > 1 and shop == 'a'"
    assert str(parse_condition("shop not in ['a', 'b']")) == "not (shop in ('a', 'b',))"
    assert (
        str(parse_condition("is_paid is not None or not units <= -2")) == "not (is_paid is None) or not (units <= -2)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amount",
        "amount >",
        "amount > units",
        "1 < amount",
        "f(amount) > 1",
        "amount > 1; shop == 'a'",
        "shop in ()",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidDefinition, match="is no condition"):
        oc.rate(text, name="x", over="1h").measure  # noqa: B018 - it reads its condition


@pytest.mark.parametrize("text", ["__import__('os').system('x')", "(lambda: 1)() == 1", "amount > 1e999", "(" * 5_000])
def test_nothing_is_run_and_nothing_breaks_by_what_a_condition_says(text: str) -> None:
    with pytest.raises(InvalidDefinition, match="is no condition"):
        parse_condition(text)


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        (oc.count(over="1h", name="x", where="price > 1"), "no column 'price'"),
        (
            oc.count(over="1h", name="x", where="shop > 1"),
            "shop > 1 compares 'shop', which is string, with what is not",
        ),
        (oc.count(over="1h", name="x", where="amount == 'a'"), "which is float64, with what is not"),
        (oc.count(over="1h", name="x", where="units in (1, True)"), "which is int64, with what is not"),
        (oc.count(over="1h", name="x", where="shop < 'a'"), "orders what are no numbers; use == or !="),
        (oc.count(over="1h", name="x", where="at == 1"), "which is timestamp"),
        (oc.rate("is_paid == 1", over="1h", name="x"), "which is bool, with what is not"),
    ],
)
def test_a_condition_that_cannot_be_asked_of_a_source_is_refused(feature: Aggregate, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        view(feature)


def test_a_column_called_like_a_word_of_python_can_be_aggregated_and_not_asked_about() -> None:
    assert only(oc.count("from", over="1h")).measure == "from"
    with pytest.raises(InvalidDefinition, match="is no condition"):
        view(oc.count(over="1h", name="x", where="from == 'a'"))
    with pytest.raises(InvalidDefinition, match="is no measure"):
        view(oc.count("from", over="1h", name="x", where="units > 1"))


def test_a_feature_with_a_condition_has_a_name_of_its_own() -> None:
    with pytest.raises(InvalidDefinition, match=r"say what it is called, name='\.\.\.'"):
        oc.mean("amount", over="1h", where="is_paid == True")
    with pytest.raises(InvalidDefinition, match="cannot name a feature"):
        oc.mean("amount", over="1h", name="Paid!")
    features = view(oc.mean("amount", over=["1h", "24h"], name="paid", where="is_paid == True")).features
    assert [feature.name for feature in features] == ["paid_1h", "paid_24h"]
    assert only(oc.latest("amount", ttl="1h", name="newest")).name == "newest"
    assert only(oc.quantile("amount", 0.9, over="1h", name="high")).name == "high_1h"


@pytest.mark.parametrize(
    ("feature", "measure"),
    [
        (oc.count(over="1h"), None),
        (oc.mean("amount", over="1h"), "amount"),
        (oc.rate("amount>15", name="x", over="1h"), "amount > 15"),
        (oc.count(over="1h", name="x", where="units==1"), "1 if units == 1 else None"),
        (oc.sum("amount", over="1h", name="x", where="units==1"), "amount if units == 1 else None"),
        (oc.rate("units>1", over="1h", name="x", where="units<9"), "units > 1 if units < 9 else None"),
    ],
)
def test_a_measure_says_what_is_taken_of_an_event(feature: Aggregate, measure: str | None) -> None:
    assert only(feature).measure == measure
    assert measure is None or str(feature.measure) == measure
