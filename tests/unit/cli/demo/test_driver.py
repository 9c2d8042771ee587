"""The driver against real sockets: a server in this process stands in for control and predictor."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from octavo.access import ensure_admin
from octavo.cli.demo.driver import Driver
from octavo.cli.demo.journal import Journal
from octavo.cli.demo.recovery import NOTHING, Recovered
from octavo.cli.demo.timeline import Moment
from octavo.errors import InvalidRequest
from octavo.processes import CONTROL, PREDICTOR, announce

AT = datetime(2030, 7, 1, 4, tzinfo=UTC)
REQUEST = {"origin": "JFK", "carrier": "B6", "dest": "BOS", "tailnum": "N1", "distance": 187.0}
LANDED = {"flight": "f1", "landed_at": "2030-07-01T04:01:00Z", "arr_delay": -4.0}
FIRST = Moment(at=AT, events={}, flights={"f1": REQUEST, "f2": REQUEST})
SECOND = Moment(at=AT.replace(minute=5), events={"landings": [LANDED]}, flights={})


class Platform(ThreadingHTTPServer):
    """Answers as control and predictor do, and keeps what it was asked.

    Attributes
    ----------
    refusals : dict of path to statuses
        With which the next requests of a path are refused.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.refusals: dict[str, list[int]] = {}

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Platform

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refusals = self.server.refusals.get(self.path, [])
        self.server.asked.append((self.path, body))
        if refusals:
            self._answer(refusals.pop(0), {"detail": "not now"})
        else:
            ids = [{"id": f"{self.path[-3:]}-{place}"} for place, _ in enumerate(body.get("rows", ()))]
            self._answer(200, {"predictions": ids})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def platform() -> Iterator[Platform]:
    server = Platform()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(platform: Platform, tmp_path: Path) -> Path:
    (tmp_path / "octavo.toml").touch()
    ensure_admin(tmp_path / ".octavo")
    for name in (CONTROL, PREDICTOR):
        announce(tmp_path / ".octavo", name, host="127.0.0.1", port=platform.server_port)
    return tmp_path


def drive(folder: Path, *moments: Moment, recovered: Recovered = NOTHING) -> Journal:
    with (
        Journal(folder / "journal") as journal,
        Driver(folder, ["eta", "late"], recovered=recovered) as driver,
    ):
        driver.drive(moments, journal, tell=lambda moment: None)
    return journal


def test_a_moment_is_events_then_the_clock_then_predictions_and_outcomes(folder: Path, platform: Platform) -> None:
    journal = drive(folder, FIRST, SECOND)
    assert platform.paths == [
        *("/api/clock", "/predict/eta", "/predict/late"),
        *("/events/landings", "/api/clock", "/outcomes"),
    ]
    assert (journal.requests, journal.predictions, journal.outcomes, journal.failed) == (2, 4, 2, 0)


def test_a_landing_is_the_outcome_of_every_prediction_of_its_flight(folder: Path, platform: Platform) -> None:
    drive(folder, FIRST, SECOND)
    known_at = LANDED["landed_at"]
    assert platform.asked[-1][1]["rows"] == [
        {"prediction": "eta-0", "value": -4.0, "known_at": known_at},
        {"prediction": "ate-0", "value": -4.0, "known_at": known_at},
    ]


def test_a_prediction_that_is_refused_is_counted_and_not_asked_for_again(folder: Path, platform: Platform) -> None:
    platform.refusals["/predict/eta"] = [503]
    journal = drive(folder, FIRST, SECOND)
    assert (journal.requests, journal.failed, journal.predictions, journal.outcomes) == (2, 1, 2, 1)
    assert platform.paths.count("/predict/eta") == 1


def test_what_control_does_not_take_now_is_counted_and_sent_again(folder: Path, platform: Platform) -> None:
    platform.refusals["/events/landings"] = [503, 503]
    journal = drive(folder, FIRST, SECOND)
    assert platform.paths.count("/events/landings") == 3
    assert platform.paths.index("/outcomes") > max(n for n, p in enumerate(platform.paths) if p == "/events/landings")
    assert (journal.failed, journal.outcomes) == (2, 2)


def test_a_wrong_request_ends_it(folder: Path, platform: Platform) -> None:
    platform.refusals["/events/landings"] = [422]
    with pytest.raises(InvalidRequest, match="not now"):
        drive(folder, SECOND)


def test_what_was_predicted_before_an_interruption_is_not_predicted_again(folder: Path, platform: Platform) -> None:
    made = [{"id": "before", "entities": {name: REQUEST[name] for name in ("origin", "carrier", "dest", "tailnum")}}]
    journal = drive(folder, FIRST, SECOND, recovered=Recovered(AT, {"eta": made}))
    asked = {path: len(body["rows"]) for path, body in platform.asked if path.startswith("/predict/")}
    assert asked == {"/predict/eta": 1, "/predict/late": 2}
    assert platform.asked[-1][1]["rows"][0]["prediction"] == "before"
    assert journal.predictions == 4
