"""Hundreds of callers who are slow in every way, and an end in good order, over real sockets."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.serving.test_bad_callers import BODY, head, reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import Connection, Load, Running, predictor, until
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest

SLOW = 500
_ALLOWED_GROWTH_BYTES = 60_000_000
_PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ServingProject:
    root: Path = tmp_path_factory.mktemp("project")
    made = make_project(root, settings=f"{SETTINGS}max_concurrent = 50\ntimeout_ms = 4000\nlinger_ms = 1500\n")
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    return made


@pytest.fixture
def running(project: ServingProject) -> Iterator[Running]:
    with predictor(project) as found:
        yield found


def memory_bytes(running: Running) -> int:
    pages = Path(f"/proc/{running.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE_BYTES


def begin(running: Running, connection: socket.socket, *, place: int) -> None:
    """Do the one or the other thing that keeps a server waiting."""
    whole = head(running, f"Content-Length: {len(BODY)}") + BODY
    match place % 4:
        case 0:
            connection.sendall(whole[:40])
        case 1:
            connection.sendall(whole[: -len(BODY)])
        case 2:
            connection.sendall(whole[:-5])
        case 3:
            connection.sendall(head(running, "Transfer-Encoding: chunked") + b'5\r\n{"row')


def test_five_hundred_slow_callers_cost_neither_memory_nor_their_neighbours(running: Running) -> None:
    with ExitStack() as slow, Load(running, [ROW], callers=2) as neighbours:
        neighbours.wait_for(200)
        before = memory_bytes(running)
        for place in range(SLOW):
            begin(running, slow.enter_context(running.socket()), place=place)
        neighbours.wait_for(300)
        assert memory_bytes(running) - before < _ALLOWED_GROWTH_BYTES
    assert neighbours.broken == []
    assert {status for status, _ in neighbours.answers} == {200}


def test_one_who_never_ends_his_headers_is_told_so_and_closed(running: Running) -> None:
    with running.socket() as connection:
        connection.sendall(head(running)[:-2])
        status, problem = reply(connection)
        assert (status, json.loads(problem)["detail"]) == (408, "the headers did not arrive within 10 seconds")
        assert connection.recv(1) == b""


def test_one_who_never_sends_his_body_is_given_up_after_the_time_that_a_request_may_take(running: Running) -> None:
    with running.socket() as connection:
        connection.sendall(head(running, "Content-Length: 10"))
        status, problem = reply(connection)
    assert (status, json.loads(problem)["detail"]) == (408, "the body did not arrive within 4 seconds")


def test_told_to_stop_it_says_that_it_is_not_ready_and_lets_go_of_its_callers_before_it_ends(running: Running) -> None:
    with closing(Connection(running)) as kept, closing(Connection(running)) as probe:
        assert kept.call([ROW])[0] == 200
        assert probe.get("/readyz")[0] == 200
        running.process.terminate()
        until(lambda: running.get("/readyz")[0] == 503, what="not ready")
        kept._http.request("POST", "/predict/eta", BODY, kept._headers)
        answer = kept._http.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        answer.read()
        assert running.get("/livez")[0] == 200
    began = time.monotonic()
    assert running.process.wait(timeout=20) == 0
    assert time.monotonic() - began < 12
