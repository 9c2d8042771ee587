"""Feature views of several entities, and on-demand features over features, as they are declared."""

import msgspec
import pytest

import octavo as oc
from octavo.definitions.features import OnDemand
from octavo.definitions.models import Model
from octavo.definitions.order import in_order
from octavo.definitions.plans import decode_plan, plan_lookup
from octavo.errors import InvalidDefinition

payments = oc.Source(
    "payments",
    event_time="paid",
    schema={"paid": oc.Timestamp, "payer": oc.String, "shop": oc.Int64, "customer": oc.String, "amount": oc.Float64},
)
customer, shop = oc.Entity("customer", key="customer"), oc.Entity("shop", key="shop", dtype=oc.Int64)


def view(entity: oc.Entity | tuple[oc.Entity, ...], key: str | tuple[str, ...] | None = None) -> oc.FeatureView:
    return oc.FeatureView("spend", entity=entity, key=key, source=payments, features=[oc.sum("amount", over="1h")])


def function(name: str, *inputs: str) -> OnDemand:
    return OnDemand(name=name, inputs=inputs, function=lambda *columns: columns[0])


def model(*features: oc.FeatureView | OnDemand) -> Model:
    def takings(train: object) -> None: ...

    declared = oc.model(
        features=[*features, oc.request("amount", oc.Float64)],
        label=oc.Label(payments, "shop", at="paid"),
        metrics=["mae"],
    )
    return declared(takings)


def test_a_view_has_its_entities_and_keys_in_their_order() -> None:
    several = view((shop, customer), ("shop", "payer"))
    assert several.entity_keys == ("shop", "customer")
    assert several.keys == ("shop", "payer")
    assert view((customer, shop)).keys == ("customer", "shop")
    assert view(customer, "payer").keys == ("payer",)
    assert view(customer) == view((customer,))


@pytest.mark.parametrize(
    ("entity", "key", "reason"),
    [
        ((), None, "of no entity"),
        ((customer, customer), None, "two by one key: customer, customer"),
        ((customer, shop), "payer", "give one column of the source for each entity, in order: customer, shop"),
        ((customer, shop), ("payer", "payer"), "key names payer, payer"),
        ((customer, shop), ("shop", "payer"), "key 'shop' is not the type of entity 'customer'"),
        ((customer, shop), ("payer", "place"), "no column 'place'"),
    ],
)
def test_keys_that_do_not_fit_the_entities_are_refused(
    entity: tuple[oc.Entity, ...], key: str | tuple[str, ...] | None, reason: str
) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        view(entity, key)


def test_a_request_holds_the_keys_of_all_entities() -> None:
    plan = plan_lookup(model(view((customer, shop), ("payer", "shop"))))
    assert [field.name for field in plan.fields] == ["amount", "customer", "shop"]
    assert plan.views[0].entity_keys == ("customer", "shop")


def test_a_plan_of_the_time_of_single_entities_is_read() -> None:
    plan = plan_lookup(model(view(customer)))
    document = msgspec.json.decode(msgspec.json.encode(plan))
    for planned in document["views"]:
        [planned["entity_key"]] = planned.pop("entity_keys")
    assert decode_plan(msgspec.json.encode(document)) == plan == decode_plan(msgspec.json.encode(plan))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"views":[1]}', b'{"views":[]}'])
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_plan(data)


def test_a_function_may_take_fields_features_and_other_functions() -> None:
    declared = model(view(customer), function("late", "early", "amount"), function("early", "spend__amount_sum_1h"))
    assert [one.name for one in in_order(declared.on_demand)] == ["early", "late"]
    assert declared.input_names[1:3] == ("late", "early")


def test_functions_in_a_circle_are_refused_by_their_names() -> None:
    circle = [function("one", "two"), function("two", "amount", "three"), function("three", "one")]
    with pytest.raises(InvalidDefinition, match=r"in a circle: one -> two -> three -> one"):
        model(*circle)
    with pytest.raises(InvalidDefinition, match=r"in a circle: alone -> alone"):
        model(function("alone", "alone"))


def test_a_function_that_takes_what_there_is_not_is_refused_with_what_is_meant() -> None:
    with pytest.raises(InvalidDefinition, match=r"takes spend__amount_sum_2h, which .* 'spend__amount_sum_1h'\?"):
        model(view(customer), function("late", "spend__amount_sum_2h"))
