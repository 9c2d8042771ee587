"""What the showroom's project declares."""

from types import ModuleType

import octavo as oc
from octavo.definitions.project import Project, collect

landings = oc.Source(
    "landings",
    event_time="landed_at",
    id=["flight"],
    schema={
        "flight": oc.String,
        "origin": oc.String,
        "tailnum": oc.String,
        "decided_at": oc.Timestamp,
        "landed_at": oc.Timestamp,
        "distance": oc.Float64,
        "arr_delay": oc.Float64,
    },
    description="A flight reached the gate.",
    owner="operations research",
)
origin_landings = oc.FeatureView(
    "origin_landings",
    entity=oc.Entity("origin", key="origin"),
    source=landings,
    features=[
        oc.mean(
            "arr_delay",
            over=["1h", "3h", "24h"],
            description="How late flights from here land.",
            default=0,
            expect=oc.expect(minimum=-120, maximum=1_500, nulls=0.3),
        ),
        oc.quantile("arr_delay", 0.9, over="24h", deprecated="use origin_landings__arr_delay_mean_24h"),
        oc.count(over="3h"),
    ],
)
plane_landings = oc.FeatureView(
    "plane_landings",
    entity=oc.Entity("plane", key="tailnum"),
    source=landings,
    features=[oc.latest("arr_delay", ttl="24h"), oc.mean("arr_delay", over="24h")],
)
DISTANCE = oc.request(
    "distance", oc.Float64, required=True, description="Miles as the crow flies.", expect=oc.expect(minimum=0)
)
INPUTS = [origin_landings, plane_landings, DISTANCE, oc.request("flight", oc.String)]


@oc.model(
    features=INPUTS,
    label=oc.Label(landings, "arr_delay", at="decided_at"),
    metrics=["mae", "rmse"],
    gates=[oc.better_than_baseline("mae")],
    baseline="plane_landings__arr_delay_latest",
    owner="operations research",
    purpose="connections and stands are replanned",
    tier="low",
)
def arrival_delay(train: oc.Dataset) -> object:
    """Minutes by which a flight arrives late; negative when early."""
    raise NotImplementedError


@oc.model(
    features=INPUTS,
    label=oc.Label(landings, "arr_delay", at="decided_at", above=15),
    metrics=["log_loss", "auc"],
    owner="operations research",
    purpose="passengers are told early",
    tier="medium",
)
def arrives_late(train: oc.Dataset) -> object:
    """Probability that a flight arrives more than 15 minutes late."""
    raise NotImplementedError


eta = oc.Deployment("eta", model=arrival_delay, rollout=oc.Rollout(shadow="6h", steps=[10, 50, 100], bake="6h"))
SURER = oc.Experiment("surer", arms={"control": 40, "challenger": 40})
late = oc.Deployment("late", model=arrives_late, rollout=oc.Rollout(approval="manual"), experiments=[SURER])
spare = oc.Deployment("spare", model=arrives_late)


@oc.on_demand
def is_far(distance):
    return distance > 1_000


@oc.on_demand
def worst(eta, late):
    return eta + 60 * late


trouble = oc.Composite("trouble", nodes=[eta, oc.node(late, when=is_far), worst])


def make_project() -> Project:
    module = ModuleType("showroom")
    vars(module).update(eta=eta, late=late, spare=spare, trouble=trouble)
    return collect(module, name="flights", code={"project.py": "flights = 1\n"})
