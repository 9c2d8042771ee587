import random
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pandas as pd
import pytest

from octavo.cli.demo.plan import Plan
from octavo.cli.demo.timeline import KNOWN_AT, REQUEST_FIELDS, Moment, Timeline

START = datetime(2030, 7, 1, 4, tzinfo=UTC)
PLAN = Plan(start=START, history_days=1, days=1)


def module_of(decided: list[datetime], known: list[datetime]) -> ModuleType:
    """A project's flights.py: flights decided at some moments, and landings and departures known at others."""
    places = dict.fromkeys(REQUEST_FIELDS, "x")
    scheduled = pd.DataFrame([{"flight": f"D{n}", "decided_at": at, **places} for n, at in enumerate(decided)])
    landings = pd.DataFrame([{"flight": f"L{n}", "landed_at": at, "arr_delay": n} for n, at in enumerate(known)])
    module = ModuleType("flights")
    vars(module)["flights"] = lambda: scheduled
    vars(module)["events"] = lambda start, end: {"landings": landings.sort_values("landed_at", ignore_index=True)}
    return module


@pytest.fixture
def timeline() -> Timeline:
    chance = random.Random(1)
    minutes = sorted(chance.choices(range(1, 23 * 60), k=40))
    known = [START + timedelta(seconds=chance.randrange(86_400)) for _ in range(400)]
    return Timeline(module_of([START + timedelta(minutes=minute) for minute in minutes], known), PLAN)


def told(moments: list[Moment]) -> list[str]:
    return [str(row["flight"]) for moment in moments for row in moment.events.get("landings", ())]


def test_each_event_and_each_flight_comes_once(timeline: Timeline) -> None:
    moments = list(timeline.after(None))
    assert sorted(told(moments)) == sorted(f"L{n}" for n in range(400))
    assert [flight for moment in moments for flight in moment.flights] == [f"D{n}" for n in range(40)]


def test_what_a_moment_brings_was_known_before_it_and_not_before_the_last(timeline: Timeline) -> None:
    before = START
    for moment in timeline.after(None):
        for row in moment.events.get("landings", ()):
            assert before <= datetime.fromisoformat(str(row[KNOWN_AT["landings"]])) < moment.at
        before = moment.at


def test_nothing_is_sent_more_than_five_minutes_ahead_of_the_clock(timeline: Timeline) -> None:
    before = START
    for moment in timeline.after(None):
        for row in moment.events.get("landings", ()):
            assert datetime.fromisoformat(str(row["landed_at"])) < before + timedelta(minutes=5)
        before = moment.at


def test_it_goes_on_from_any_moment(timeline: Timeline) -> None:
    moments = list(timeline.after(None))
    for place in (0, 7, len(moments) - 1):
        assert list(timeline.after(moments[place].at)) == moments[place + 1 :]


def test_it_ends_with_the_end_of_the_plan(timeline: Timeline) -> None:
    assert list(timeline.after(None))[-1].at == PLAN.end


def test_the_landings_of_a_moment_are_outcomes(timeline: Timeline) -> None:
    moment = next(moment for moment in timeline.after(None) if moment.events)
    [landing, *_] = moment.landings
    assert (landing.flight, landing.delay) == (told([moment])[0], float(landing.flight[1:]))
