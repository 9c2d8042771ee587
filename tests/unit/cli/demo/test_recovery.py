from datetime import UTC, datetime

from octavo.cli.demo.recovery import NOTHING, Recovered
from octavo.cli.demo.timeline import Moment

AT = datetime(2030, 7, 1, 4, tzinfo=UTC)


def request(tailnum: str) -> dict[str, object]:
    return {"origin": "JFK", "carrier": "B6", "dest": "BOS", "tailnum": tailnum, "distance": 187.0}


def entities(tailnum: str) -> dict[str, object]:
    return {"origin": "JFK", "carrier": "B6", "dest": "BOS", "tailnum": tailnum}


MOMENT = Moment(at=AT, events={}, flights={"f1": request("N1"), "f2": request("unknown"), "f3": request("unknown")})
MADE = [{"id": "p1", "entities": entities("unknown")}, {"id": "p2", "entities": entities("N1")}]


def test_a_prediction_that_was_made_is_found_by_what_it_is_about() -> None:
    assert Recovered(AT, {"eta": MADE}).of("eta", MOMENT) == {"f1": "p2", "f2": "p1"}


def test_each_deployment_has_its_own() -> None:
    assert Recovered(AT, {"eta": MADE}).of("late", MOMENT) == {}


def test_other_moments_have_none() -> None:
    assert Recovered(AT.replace(hour=5), {"eta": MADE}).of("eta", MOMENT) == {}
    assert NOTHING.of("eta", MOMENT) == {}
