from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.client.scripted import Reply, ScriptedServer, scripted_server

from octavo.access import ensure_admin
from octavo.client import Client, ConnectionLost
from octavo.client.client import READS
from octavo.errors import ConfigurationError, InvalidRequest, NotAuthenticated, Unavailable
from octavo.processes import announce
from octavo.wiring import all_operations

LOST = Reply(status=None)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url, server.url, token="t", timeout_s=5.0) as client:
        yield client


def test_rows_are_sent_to_where_they_belong(server: ScriptedServer, client: Client) -> None:
    client.predict("eta", [{"origin": "JFK"}])
    client.predict("eta", [{"origin": "JFK"}], values=True)
    client.send_events("landings", [{"flight": "B6"}])
    client.call("models.show", model="arrival_delay")
    client.read_clock()
    assert [(sent.method, sent.path, sent.body) for sent in server.requests] == [
        ("POST", "/predict/eta", {"rows": [{"origin": "JFK"}]}),
        ("POST", "/predict/eta?values=1", {"rows": [{"origin": "JFK"}]}),
        ("POST", "/events/landings", {"rows": [{"flight": "B6"}]}),
        ("POST", "/api/models.show", {"model": "arrival_delay"}),
        ("GET", "/api/clock", None),
    ]


def test_bad_rows_are_kept_if_that_is_wished(server: ScriptedServer, client: Client) -> None:
    client.send_events("landings", [{"flight": 6}], bad="keep")
    assert server.requests[0].path == "/events/landings?bad=keep"


def test_a_name_cannot_lead_elsewhere(server: ScriptedServer, client: Client) -> None:
    client.predict("../livez?x", [{}])
    assert server.requests[0].path == "/predict/..%2Flivez%3Fx"


def test_the_clock_is_moved_to_a_moment(server: ScriptedServer, client: Client) -> None:
    client.advance_clock(datetime(2013, 12, 1, 5, tzinfo=UTC))
    assert server.requests[0].body == {"to": "2013-12-01T05:00:00Z"}


REPEATED: list[Callable[[Client], object]] = [
    lambda client: client.predict("eta", [{"origin": "JFK"}]),
    lambda client: client.send_events("landings", [{"flight": "B6"}]),
    lambda client: client.send_outcomes([{"prediction": "p", "value": 1.0}]),
    lambda client: client.call("models.list"),
    lambda client: client.advance_clock(datetime(2013, 12, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("send", REPEATED)
def test_what_may_be_done_twice_is_sent_again_unchanged(
    send: Callable[[Client], object], server: ScriptedServer, client: Client
) -> None:
    server.script = [LOST]
    send(client)
    first, second = server.requests
    assert (first.path, first.body) == (second.path, second.body)


def test_what_changes_something_is_never_sent_again(server: ScriptedServer, client: Client) -> None:
    server.script = [LOST]
    with pytest.raises(ConnectionLost):
        client.call("models.train", model="arrival_delay")
    assert len(server.requests) == 1


def test_no_operation_that_changes_anything_counts_as_a_read() -> None:
    changing = {operation.name for operation in all_operations() if operation.changes}
    assert {name for name in changing if name.rpartition(".")[2] in READS} == set()


def test_outcomes_are_known_again_when_they_are_sent_again(server: ScriptedServer, client: Client) -> None:
    known = {"prediction": "p", "value": 1.0, "known_at": "2013-12-01T05:00:00Z"}
    named = {"prediction": "p", "value": 1.0, "id": "mine"}
    client.send_outcomes([known, named, {"prediction": "p", "value": 1.0}])
    rows = server.requests[0].body["rows"]
    assert rows[:2] == [known, named]
    assert len(rows[2]["id"]) == 32


def test_a_refusal_names_the_field_and_the_fix(server: ScriptedServer, client: Client) -> None:
    body = {
        "code": "invalid_request",
        "detail": "rows[0].distanc is unknown",
        "field": "rows[0].distanc",
        "fix": "drop it",
    }
    server.script = [Reply(status=422, body=body)]
    with pytest.raises(InvalidRequest, match="distanc is unknown") as refused:
        client.predict("eta", [{"distanc": 1}])
    assert (refused.value.field, refused.value.fix) == ("rows[0].distanc", "drop it")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "octavo.toml").touch()
    ensure_admin(tmp_path / ".octavo")
    return tmp_path


def test_it_finds_the_processes_of_the_project_here(project: Path, server: ScriptedServer) -> None:
    port = int(server.url.rpartition(":")[2])
    announce(project / ".octavo", "control", host="127.0.0.1", port=port)
    (project / "deeper").mkdir()
    with Client.here(project / "deeper") as client:
        client.call("models.list")
    assert server.requests[0].headers["authorization"].startswith("Bearer octavo_")


def test_it_says_which_process_does_not_run(project: Path) -> None:
    with Client.here(project) as client, pytest.raises(Unavailable, match="no predictor process runs"):
        client.predict("eta", [{}])


def test_outside_of_a_project_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not inside a project"):
        Client.here(tmp_path)


def test_a_project_that_was_never_started_has_no_token(tmp_path: Path) -> None:
    (tmp_path / "octavo.toml").touch()
    with pytest.raises(NotAuthenticated, match="octavo up"):
        Client.here(tmp_path)
