import pytest

import octavo as oc
from octavo.definitions.aggregates import tile_s
from octavo.definitions.plans import plan_lookup
from octavo.errors import InvalidDefinition

SCHEMA = {
    "shop": oc.String,
    "at": oc.Timestamp,
    "known": oc.Timestamp,
    "decided": oc.Timestamp,
    "amount": oc.Float64,
    "units": oc.Int64,
}
sales = oc.Source("sales", event_time="at", available_at="known", schema=SCHEMA)
shop = oc.Entity("shop", key="shop")
spend = oc.FeatureView("spend", entity=shop, source=sales, features=[oc.mean("amount", over=["1h", "7d"])])
AMOUNT = oc.Label(sales, "amount", at="decided")


@oc.on_demand
def doubled(units):
    """Twice the units."""
    return units * 2


def declare(**changed: object) -> object:
    wanted: dict = {"features": [spend, doubled, oc.request("units", oc.Int64)], "label": AMOUNT, "metrics": ["mae"]}

    def forecast(train):
        return None

    return oc.model(**(wanted | changed))(forecast)


@pytest.mark.parametrize(
    ("window", "tile"),
    [(60, 5), (180, 15), (720, 60), (3_600, 300), (86_400, 3_600), (604_800, 21_600), (2_592_000, 86_400)],
)
def test_a_tile_is_at_most_a_twelfth_of_its_window(window: int, tile: int) -> None:
    assert tile_s(window) == tile


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        (lambda: oc.Source("Sales!", event_time="at", schema=SCHEMA), "cannot name"),
        (lambda: oc.Source("sales", event_time="when", schema=SCHEMA), "no column 'when'"),
        (lambda: oc.Source("sales", event_time="amount", schema=SCHEMA), "must be an oc.Timestamp"),
        (lambda: oc.Source("sales", event_time="at", schema=SCHEMA, id=["order"]), "no column 'order'"),
        (lambda: oc.mean("amount", over="59s"), "from a minute to 366 days"),
        (lambda: oc.mean("amount", over="367d"), "from a minute to 366 days"),
        (lambda: oc.mean("amount", over="soon"), "'soon' is no window"),
        (lambda: oc.mean("amount", over=[]), "at least one window"),
        (lambda: oc.quantile("amount", 1.0, over="1h"), "between 0 and 1"),
        (lambda: oc.last_k("amount", 0, over="1h"), "from 1 to 32"),
        (lambda: oc.last_k("amount", 33, over="1h"), "from 1 to 32"),
        (lambda: oc.decayed_sum("amount", half_life="1m", over="65m"), "64 half-lives"),
        (lambda: oc.decayed_count(half_life="soon", over="1h"), "'soon' is no half-life"),
        (lambda: oc.cron("0 25 * * *"), "no cron expression"),
        (lambda: oc.cron("0 3 * * * *"), "no cron expression"),
        (lambda: oc.cron("0 3 * * *", zone="Mars/Olympus"), "no time zone"),
        (lambda: oc.cron("0 3 * * *", zone="../../etc/passwd"), "no time zone"),
        (
            lambda: oc.FeatureView("v", entity=shop, source=sales, features=[oc.mean("price", over="1h")]),
            "no column 'price'",
        ),
        (lambda: oc.FeatureView("v", entity=shop, source=sales, features=[oc.mean("shop", over="1h")]), "numeric"),
        (
            lambda: oc.FeatureView("v", entity=shop, source=sales, key="amount", features=[oc.count(over="1h")]),
            "not the type",
        ),
        (lambda: oc.FeatureView("v", entity=shop, source=sales, features=[oc.count(over=["1h", "1h"])]), "twice"),
        (lambda: oc.Label(sales, "shop", at="decided"), "not numeric"),
        (lambda: oc.Label(sales, "amount", at="shop"), "must be an oc.Timestamp"),
        (lambda: oc.Rollout(steps=[50, 10, 100]), "must rise"),
        (lambda: oc.Rollout(steps=[10, 50]), "end at 100"),
        (lambda: oc.Monitor(every="2d", window="1d"), "shorter than its interval"),
        (lambda: declare(features=[]), "no number and no category"),
        (lambda: declare(features=[spend, doubled]), "takes units"),
        (lambda: declare(features=[spend, oc.request("amount", oc.Float64)]), "leak"),
        (lambda: declare(features=[spend, oc.request("weight", oc.Int64)]), "lacks weight"),
        (lambda: declare(features=[spend], baseline="guess"), "none of its numeric inputs"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_reason(declaration, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        declaration()


def test_features_are_called_after_what_they_are_of() -> None:
    declared = [
        oc.first("amount", over="1h"),
        oc.last_k("amount", 2, over=["1h", "7d"]),
        oc.last_k("units", 1, name="recent", over="1h"),
        oc.decayed_sum("amount", half_life="1d", over="30d"),
        oc.decayed_count(half_life="1d", over="30d"),
    ]
    view = oc.FeatureView("v", entity=shop, source=sales, features=declared)
    assert [feature.name for feature in view.features] == [
        "amount_first_1h",
        *("amount_last1_1h", "amount_last2_1h", "amount_last1_7d", "amount_last2_7d"),
        "recent1_1h",
        "amount_decayed_sum_1d_30d",
        "events_decayed_count_1d_30d",
    ]


def test_a_lookup_plan_lists_inputs_in_the_order_of_the_matrix() -> None:
    plan = plan_lookup(declare())
    assert plan.inputs == ("spend__amount_mean_1h", "spend__amount_mean_7d", "doubled", "units")
    assert {field.name: field.required for field in plan.fields} == {"units": True, "shop": True}


def test_a_binary_label_is_one_above_its_bound_only() -> None:
    late = oc.Label(sales, "amount", at="decided", above=15)
    assert [late.truth(value) for value in (14.0, 15.0, 15.5)] == [0.0, 0.0, 1.0]
