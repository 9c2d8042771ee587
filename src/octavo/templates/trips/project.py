"""Arrival delays of flights from New York, predicted one hour before the scheduled departure.

What may be used is what is known then: a departure delay from the actual departure on, an arrival delay from the actual
arrival on, the weather of an hour after that hour.
"""

import octavo as oc

NEW_YORK = "America/New_York"
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
ROUTE = {"flight": oc.String, "origin": oc.String, "carrier": oc.String, "dest": oc.String, "tailnum": oc.String}

# Events -----------------------------------------------------------------------------------------------------------------

departures = oc.Source(
    "departures",
    event_time="departed_at",
    id=["flight"],
    schema={**ROUTE, "departed_at": oc.Timestamp, "dep_delay": oc.Float64},
    description="A flight left the gate; its delay in minutes.",
)
landings = oc.Source(
    "landings",
    event_time="landed_at",
    id=["flight"],
    schema={
        **ROUTE,
        "decided_at": oc.Timestamp,
        "sched_dep": oc.Timestamp,
        "distance": oc.Float64,
        "landed_at": oc.Timestamp,
        "arr_delay": oc.Float64,
    },
    description="A flight reached the gate; its delay in minutes, and what was known of it at the decision.",
)
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
weather = oc.Source(
    "weather",
    event_time="hour",
    available_at="known_at",
    id=["origin", "hour"],
    schema={"origin": oc.String, "hour": oc.Timestamp, "known_at": oc.Timestamp} | dict.fromkeys(WEATHER, oc.Float64),
    description="An hour of weather at an airport, known after that hour.",
)

# Features -----------------------------------------------------------------------------------------------------------------

origin = oc.Entity("origin", key="origin", description="The airport of departure.")
carrier = oc.Entity("carrier", key="carrier", description="The airline.")
destination = oc.Entity("destination", key="dest", description="The airport of arrival.")
plane = oc.Entity("plane", key="tailnum", description="The aircraft, by its tail number.")

LEFT, LANDED = "dep_delay", "arr_delay"
origin_departures = oc.FeatureView(
    "origin_departures", entity=origin, source=departures,
    features=[oc.mean(LEFT, over=["1h", "3h", "24h"]), oc.quantile(LEFT, 0.9, over=["1h", "3h"]), oc.count(over=["3h", "24h"])],
)  # fmt: skip
origin_landings = oc.FeatureView(
    "origin_landings", entity=origin, source=landings,
    features=[oc.mean(LANDED, over=["1h", "3h", "24h"]), oc.quantile(LANDED, 0.9, over="24h")],
)  # fmt: skip
carrier_departures = oc.FeatureView(
    "carrier_departures", entity=carrier, source=departures,
    features=[oc.mean(LEFT, over=["1h", "3h", "24h"]), oc.quantile(LEFT, 0.9, over="3h")],
)  # fmt: skip
carrier_landings = oc.FeatureView(
    "carrier_landings", entity=carrier, source=landings, features=[oc.mean(LANDED, over=["1h", "3h", "24h"])]
)
dest_departures = oc.FeatureView(
    "dest_departures", entity=destination, source=departures, features=[oc.mean(LEFT, over="24h")]
)
dest_landings = oc.FeatureView(
    "dest_landings", entity=destination, source=landings,
    features=[oc.mean(LANDED, over=["24h", "7d"]), oc.quantile(LANDED, 0.9, over="24h")],
)  # fmt: skip
plane_landings = oc.FeatureView(
    "plane_landings", entity=plane, source=landings,
    features=[oc.latest(LANDED, ttl="24h"), oc.mean(LANDED, over="24h"), oc.count(over="24h")],
)  # fmt: skip
airport_weather = oc.FeatureView(
    "airport_weather", entity=origin, source=weather, features=[oc.latest(column, ttl="6h") for column in WEATHER]
)


@oc.on_demand
def local_hour(sched_dep):
    """Hour of the day of the scheduled departure, in New York."""
    local = oc.local_time(sched_dep, NEW_YORK)
    return (local - local.astype("datetime64[D]")).astype("timedelta64[m]").astype(float) / 60


@oc.on_demand
def weekday(sched_dep):
    """Day of the week of the scheduled departure, in New York; Monday is 0."""
    return (oc.local_time(sched_dep, NEW_YORK).astype("datetime64[D]").astype("int64") + 3) % 7


@oc.on_demand
def carrier_code(carrier):
    """The airline as a number."""
    return oc.category(carrier, CARRIERS)


# Models -------------------------------------------------------------------------------------------------------------------

INPUTS = [
    origin_departures, origin_landings, carrier_departures, carrier_landings, dest_departures, dest_landings,
    plane_landings, airport_weather, local_hour, weekday, carrier_code,
    oc.request("sched_dep", oc.Timestamp), oc.request("carrier", oc.String), oc.request("distance", oc.Float64),
]  # fmt: skip
TREES = dict(n_estimators=150, learning_rate=0.05, num_leaves=15, min_child_samples=500, subsample=0.8, subsample_freq=1,
             colsample_bytree=0.3, reg_lambda=20, n_jobs=1, random_state=1, verbose=-1)  # fmt: skip
POLICY = {
    "baseline": "plane_landings__arr_delay_latest",
    "holdout": "7d",
    "retrain": [oc.on_drift(), oc.on_performance()],
    "owner": "operations research",
    "purpose": "connections and stands are replanned ahead of late arrivals",
    "tier": "low",
}


@oc.model(features=INPUTS, label=oc.Label(landings, "arr_delay", at="decided_at"), metrics=["mae", "rmse"],
          gates=[oc.better_than_baseline("mae"), oc.better_than_champion("mae")], **POLICY)  # fmt: skip
def arrival_delay(train: oc.Dataset):
    """Minutes by which a flight arrives late; negative when early."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(objective="fair", fair_c=20, **TREES).fit(train.X, train.y)


@oc.model(features=INPUTS, label=oc.Label(landings, "arr_delay", at="decided_at", above=15), metrics=["log_loss", "auc"],
          gates=[oc.better_than_baseline("log_loss"), oc.better_than_champion("log_loss")], **POLICY)  # fmt: skip
def arrives_late(train: oc.Dataset):
    """Probability that a flight arrives more than 15 minutes late."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(**TREES).fit(train.X, train.y)


ROLLOUT = oc.Rollout(shadow="6h", steps=[10, 50, 100], bake="3h")
MONITOR = oc.Monitor(every="6h", window="72h", min_rows=1000)
eta = oc.Deployment("eta", model=arrival_delay, rollout=ROLLOUT, monitor=MONITOR, unit="tailnum")
late = oc.Deployment("late", model=arrives_late, rollout=ROLLOUT, monitor=MONITOR, unit="tailnum")
