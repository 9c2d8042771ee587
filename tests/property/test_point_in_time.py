"""Historical features against the oracle, for random events: late, sent twice, tied, null, and of any size."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.definitions.features import FeatureView
from octavo.features.offline.historical import historical_features
from octavo.features.offline.queries import reach_s
from octavo.stores.memory import MemoryTables
from tests.oracles.features import Event, distinct, features_at

SECOND = 1_000_000
DAY = 86_400 * SECOND
Point = tuple[str | None, int]
START = 1_388_448_000 * SECOND  # 2013-12-31, a multiple of every tile
MOMENT = pa.timestamp("us", tz="UTC")

COLUMNS = {
    "order": oc.Timestamp,
    "until": oc.Timestamp,
    "group": oc.String,
    "amount": oc.Float64,
    "pieces": oc.Int64,
    "passed": oc.Bool,
    "remark": oc.String,
    "shape": oc.Vector(2),
}
readings = oc.Source("readings", event_time="order", available_at="until", schema=COLUMNS)
punctual = oc.Source("readings", event_time="order", schema=COLUMNS)
EVENTS = pa.schema(
    {
        "_event_id": pa.binary(),
        "order": MOMENT,
        "until": MOMENT,
        "group": pa.string(),
        "amount": pa.float64(),
        "pieces": pa.int64(),
        "passed": pa.bool_(),
        "remark": pa.string(),
        "shape": pa.list_(pa.float64()),
    }
)
machine = oc.Entity("machine", key="machine_id")


def view_over(name: str, windows: list[str], half_life: str, source: oc.Source = readings) -> FeatureView:
    """Every operation over some windows."""
    features = [
        oc.count(over=windows),
        oc.count("remark", over=windows[:1]),
        oc.mean("amount", over=windows),
        oc.mean("passed", over=windows[:1]),
        oc.sum("amount", over=windows[:1]),
        oc.sum("pieces", over=windows[:1]),
        oc.min("amount", over=windows),
        oc.max("pieces", over=windows),
        oc.std("amount", over=windows),
        oc.quantile("amount", 0.5, over=windows),
        oc.quantile("amount", 0.95, over=windows),
        oc.quantile("pieces", 0.1, over=windows),
        oc.latest("amount", ttl="2h"),
        oc.latest("passed", ttl="7d"),
        oc.rate("amount > 1", name="large", over=windows),
        oc.rate("passed == True or remark is None", name="odd", over=windows[:1], where="not (pieces <= 5)"),
        oc.count(name="fine", over=windows, where="remark in ('fine', '')"),
        oc.mean("amount", name="sound", over=windows[:1], where="passed == True and amount >= -7.5"),
        oc.quantile("pieces", 0.5, name="middle", over=windows, where="remark != 'fine'"),
        oc.std("amount", name="spread", over=windows[:1], where="remark == 'fine' and passed is not None"),
        oc.latest("pieces", name="newest_fine", ttl="7d", where="remark == 'fine'"),
        oc.distinct("remark", over=windows),
        oc.distinct("pieces", name="kinds", over=windows[:1], where="passed == True"),
        oc.distinct("passed", over=windows[:1]),
        oc.last("amount", over=windows),
        oc.last("passed", name="passed_fine", over=windows[:1], where="remark == 'fine'"),
        oc.latest("shape", ttl="2h"),
        oc.last("shape", name="fine_shape", over=windows[:1], where="remark == 'fine'"),
        oc.first("amount", over=windows),
        oc.first("passed", name="first_fine", over=windows[:1], where="remark == 'fine'"),
        oc.last_k("amount", 2, over=windows),
        oc.last_k("pieces", 2, name="fine_pieces", over=windows[:1], where="remark == 'fine'"),
        oc.decayed_sum("amount", half_life=half_life, over=windows),
        oc.decayed_sum("pieces", name="fading", half_life=windows[0], over=windows[:1], where="passed == True"),
        oc.decayed_count(half_life=half_life, over=windows[:1]),
        oc.decayed_count(name="fading_fine", half_life=half_life, over=windows[:1], where="remark == 'fine'"),
    ]
    return FeatureView(name, entity=machine, key="group", source=source, features=features)


KNOWN_AT_ONCE = view_over("known_at_once", ["5h"], "1h", punctual)
VIEWS = [
    view_over("of_seconds", ["1m", "200s"], "4s"),
    view_over("of_minutes", ["12m", "750s"], "100s"),
    view_over("of_hours", ["5h", "26h"], "7h"),
    view_over("of_days", ["3d", "20d"], "1d"),
]


def spans(longest: int) -> st.SearchStrategy[int]:
    """Microseconds: on and just beside tile borders, close together, and anywhere."""
    on_grid = st.integers(0, longest // (60 * SECOND)).map(lambda minutes: minutes * 60 * SECOND)
    return st.one_of(
        st.sampled_from([0, 1, 60 * SECOND, 3_600 * SECOND, DAY]),
        on_grid,
        st.tuples(on_grid, st.sampled_from([-1, 1])).map(lambda pair: max(pair[0] + pair[1], 0)),
        st.integers(0, longest),
    )


AMOUNTS = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, -7.5, 127.0, 128.0, 129.0, 1e9, 0.1]),
    st.floats(-1e12, 1e12, allow_subnormal=False),
)


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    """Events of two entities and of none, some of them sent again."""
    events: list[Event] = []
    for number in range(draw(st.integers(0, 14))):
        tied = bool(events) and draw(st.booleans())
        happened = int(str(events[-1]["order"])) if tied else START + draw(spans(22 * DAY))
        events.append(
            {
                "_event_id": draw(st.integers(0, 255)).to_bytes(1, "big") + number.to_bytes(15, "big"),
                "order": happened,
                "until": happened + draw(st.one_of(st.just(0), st.just(SECOND), spans(3 * DAY))),
                "group": draw(st.sampled_from(["a", "a", "b", None])),
                "amount": draw(AMOUNTS),
                "pieces": draw(st.one_of(st.none(), st.integers(-3, 300))),
                "passed": draw(st.sampled_from([None, True, False])),
                "remark": draw(st.sampled_from([None, "", "fine"])),
                "shape": draw(st.sampled_from([None, [0.5, -1.0], [float(number), 0.25]])),
            }
        )
    again = draw(st.lists(st.sampled_from(events), max_size=3)) if events else []
    return events + again


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Event], list[Point]]:
    """Events, and points that like the moments at which something happened or became known."""
    events = draw(event_lists())
    moments = [START, *(int(str(event[column])) for event in events for column in ("order", "until"))]
    after = st.one_of(st.sampled_from([-1, 0, 1]), spans(2 * DAY))
    near = st.builds(lambda moment, span: moment + span, st.sampled_from(moments), after)
    points = st.tuples(st.sampled_from(["a", "b", "c", None]), st.one_of(near, spans(25 * DAY).map(START.__add__)))
    return events, draw(st.lists(points, max_size=12))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@given(case=cases())
@settings(max_examples=20, deadline=None)
def test_features_equal_those_of_the_oracle(view: FeatureView, case: tuple[list[Event], list[Point]]) -> None:
    events, points = case
    check_against_oracle(view, events=events, points=points)


@given(case=cases())
@settings(max_examples=15, deadline=None)
def test_features_of_events_that_are_known_at_once_equal_those_of_the_oracle(
    case: tuple[list[Event], list[Point]],
) -> None:
    events, points = case
    check_against_oracle(KNOWN_AT_ONCE, events=events, points=points)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_features_of_crowded_windows_equal_those_of_the_oracle(view: FeatureView, seed: int) -> None:
    events, points = crowd(np.random.default_rng(seed), span_us=reach_s(view) * SECOND)
    check_against_oracle(view, events=events, points=points)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_features_around_1970_equal_those_of_the_oracle(view: FeatureView) -> None:
    events, points = crowd(np.random.default_rng(7), span_us=reach_s(view) * SECOND)
    earlier = -START - reach_s(view) * SECOND
    moved = [{**e, "order": int(str(e["order"])) + earlier, "until": int(str(e["until"])) + earlier} for e in events]
    check_against_oracle(view, events=moved, points=[(key, micros + earlier) for key, micros in points])


@given(cases(), st.integers(0, 3 * DAY), st.sampled_from(VIEWS))
@settings(max_examples=15, deadline=None)
def test_an_event_known_only_at_the_moment_or_later_changes_nothing(
    case: tuple[list[Event], list[Point]], delay: int, view: FeatureView
) -> None:
    events, points = case
    for key, moment in points[:1]:
        planted: Event = {
            "_event_id": b"planted",
            "order": moment - 1,
            "until": moment + delay,
            "group": key,
            "amount": 1e6,
            "pieces": 10_000,
            "passed": True,
            "remark": "a leak",
        }
        without = offline([view], events=events, points=[(key, moment)])
        assert offline([view], events=[*events, planted], points=[(key, moment)]).equals(without)


def test_an_event_known_a_microsecond_before_the_moment_counts() -> None:
    event: Event = {"_event_id": b"1", "order": START, "until": START, "group": "a", "amount": 3.0}
    values = offline(VIEWS, events=[event], points=[("a", START), ("a", START + 1)])
    assert values["of_hours__events_count_5h"].to_pylist() == [0.0, 1.0]
    assert values["of_hours__amount_latest"].to_pylist() == [None, 3.0]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("late_us", [0, 1, 60 * SECOND, None])
def test_an_event_at_the_far_edge_counts_and_one_just_before_it_does_not(
    view: FeatureView, late_us: int | None
) -> None:
    moment = START + 40 * DAY + 90 * 60 * SECOND + 7
    for feature in (f for f in view.features if f.name.startswith("events_count")):
        tile_us = (feature.tile_s or 0) * SECOND
        edge = (moment - (feature.window_s or 0) * SECOND) // tile_us * tile_us
        for happened, count in ((edge, 1.0), (edge - 1, 0.0)):
            known = moment - 1 if late_us is None else happened + late_us
            event: Event = {"_event_id": b"1", "order": happened, "until": known, "group": "a", "amount": 3.0}
            values = offline([view], events=[event], points=[("a", moment)])
            assert values[f"{view.name}__{feature.name}"].to_pylist() == [count]


def test_a_latest_value_is_stale_from_its_time_to_live_on() -> None:
    event: Event = {"_event_id": b"1", "order": START, "until": START, "group": "a", "amount": 3.0}
    ttl = 2 * 3_600 * SECOND
    values = offline(VIEWS[1:2], events=[event], points=[("a", START + ttl - 1), ("a", START + ttl)])
    assert values["of_minutes__amount_latest"].to_pylist() == [3.0, None]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((b"1", START, START + 2), (b"2", START, START + 2)),
        ((b"2", START, START + 1), (b"1", START, START + 2)),
        ((b"2", START - 1, START + 3), (b"1", START, START + 2)),
    ],
    ids=["by id", "by availability", "by event time"],
)
def test_the_latest_of_two_events_is_the_second(first: tuple[bytes, int, int], second: tuple[bytes, int, int]) -> None:
    events = [
        {"_event_id": identity, "order": happened, "until": known, "group": "a", "amount": amount}
        for (identity, happened, known), amount in ((second, 2.0), (first, 1.0))
    ]
    values = offline(VIEWS[1:2], events=events, points=[("a", START + 4)])
    assert values["of_minutes__amount_latest"].to_pylist() == [2.0]


def crowd(random: np.random.Generator, *, span_us: int) -> tuple[list[Event], list[Point]]:
    """Hundreds of events with many ties in value and a few moments among them, so that quantiles have work to do."""
    count = 400
    happened = START + random.integers(0, span_us, count)
    known = happened + np.where(random.random(count) < 0.5, 0, random.exponential(span_us / 4, count)).astype(np.int64)
    amounts = np.where(random.random(count) < 0.5, random.integers(0, 4, count), random.normal(0, 1e3, count))
    events: list[Event] = [
        {
            "_event_id": number.to_bytes(2, "big"),
            "order": int(happened[number]),
            "until": int(known[number]),
            "group": "a",
            "amount": float(amounts[number]),
            "pieces": int(random.integers(0, 3)),
        }
        for number in range(count)
    ]
    return events, [("a", START + int(moment)) for moment in random.integers(0, 2 * span_us, 40)]


def check_against_oracle(view: FeatureView, *, events: Sequence[Event], points: Sequence[Point]) -> None:
    answer = offline([view], events=events, points=points)
    scale = max((abs(float(str(e["amount"]))) for e in events if e["amount"] is not None), default=0.0)
    expected = [features_at(events, view, key=key, at_us=moment) for key, moment in points]
    for feature in view.features:
        actual = answer[f"{view.name}__{feature.name}"].to_numpy()
        wanted = np.array([row[feature.name] for row in expected], dtype=np.float64)
        exact = feature.operation not in ("sum", "mean", "std", "rate", "decayed_sum", "decayed_count")
        rtol, atol = (0.0, 0.0) if exact else (1e-12, 1e-13 * max(scale, 1.0))
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=atol, err_msg=feature.name)


def offline(views: Sequence[FeatureView], *, events: Sequence[Event], points: Sequence[Point]) -> pa.Table:
    tables = MemoryTables()
    tables.ensure("events/readings", EVENTS)
    rows = pa.Table.from_pylist([dict(event) for event in distinct(events)], schema=EVENTS)
    tables.append("events/readings", rows, writer="test", sequence=1)
    spine = pa.table(
        {
            "machine_id": pa.array([key for key, _ in points], pa.string()),
            "decided": pa.array([moment for _, moment in points], MOMENT),
        }
    )
    return historical_features(tables, views, spine=spine, at="decided")
