"""Callers who send what they should not, over real sockets, while good neighbours are served."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import PATH, Connection, Load, Running, predictor
from tests.serving.projects import SETTINGS, arm, make_project, manifest

BODY = json.dumps({"rows": [ROW]}).encode()
MAX_CONCURRENT = 12


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("project")
    project = make_project(root, settings=f"{SETTINGS}max_concurrent = {MAX_CONCURRENT}\ntimeout_ms = 3000\n")
    project.publish(manifest(arm(publish_bundle(project.artifacts))))
    with predictor(project) as found:
        yield found


@pytest.fixture
def neighbours(running: Running) -> Iterator[Load]:
    """Callers who must be served whatever the others do."""
    with Load(running, [ROW], callers=2) as load:
        load.wait_for(5)
        yield load
        load.wait_for(5)
    assert load.broken == []
    assert {status for status, _ in load.answers} == {200}


def head(running: Running, *lines: str) -> bytes:
    """The beginning of a request up to its body."""
    return "\r\n".join(
        [f"POST {PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {running.project.token}", *lines, "", ""]
    ).encode()


def reply(connection: socket.socket) -> tuple[int, bytes]:
    """The status and body of one answer."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    with closing(answer):
        return answer.status, answer.read()


def send(running: Running, *parts: bytes) -> tuple[int, bytes]:
    with running.socket() as connection:
        for part in parts:
            connection.sendall(part)
        return reply(connection)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"rows":[{"distance":NaN}]}', 422, "rows[0].distance"),
        (BODY.replace(b"distance", b"destance"), 422, "rows[0].destance"),
        (BODY.replace(b"100", b"9223372036854775808"), 422, "rows[0].seats"),
        (BODY.replace(b"JFK", b"J" * 5_000), 422, "rows[0].origin"),
        (b'{"rows":[' + b",".join([b"{}"] * 1_001) + b"]}", 422, "rows[0].distance"),
        (b'{"rows":[' + b",".join([json.dumps(ROW).encode()] * 1_001) + b"]}", 413, "rows"),
        (b"[" * 150_000, 422, None),
        (b"\xff\xfe", 422, None),
        (b"rows", 422, None),
    ],
)
@pytest.mark.usefixtures("neighbours")
def test_a_wrong_body_is_a_problem_with_a_fix(running: Running, body: bytes, status: int, field: str | None) -> None:
    with closing(Connection(running)) as connection:
        answered, problem = connection.send(body)
        assert (answered, problem.get("field")) == (status, field)
        assert problem["fix"]
        assert connection.call([ROW])[0] == 200, "the same connection goes on"


@pytest.mark.usefixtures("neighbours")
def test_a_body_in_many_chunks_is_taken(running: Running) -> None:
    with closing(Connection(running)) as connection:
        assert connection.send(bytes([byte]) for byte in BODY)[0] == 200


@pytest.mark.usefixtures("neighbours")
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(running: Running) -> None:
    status, problem = send(running, head(running, "Content-Length: 1000000000"))
    assert (status, json.loads(problem)["code"]) == (413, "limit_exceeded")


@pytest.mark.usefixtures("neighbours")
def test_chunks_that_become_too_large_are_refused(running: Running) -> None:
    chunk = b"2710\r\n" + b" " * 10_000 + b"\r\n"
    status, problem = send(running, head(running, "Transfer-Encoding: chunked"), *[chunk] * 21)
    assert (status, json.loads(problem)["code"]) == (413, "limit_exceeded")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /predict/eta HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        b"POST /predict/eta HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
    ids=["TLS", "no version", "two lengths", "no chunk"],
)
@pytest.mark.usefixtures("neighbours")
def test_what_is_not_http_ends_its_connection_alone(running: Running, data: bytes) -> None:
    with running.socket() as connection:
        connection.sendall(data)
        answer = connection.recv(100)
    assert answer == b"" or answer.split()[1] in (b"400", b"401")


@pytest.mark.usefixtures("neighbours")
def test_callers_who_leave_in_the_middle_cost_nothing(running: Running) -> None:
    for end in (10, len(BODY) - 1, len(BODY)) * (2 * MAX_CONCURRENT // 4):
        for _ in range(4):  # with the neighbours fewer than have a place, should the server see them all at once
            with running.socket() as connection:
                connection.sendall(head(running, f"Content-Length: {len(BODY)}") + BODY[:end])
        assert running.call([ROW])[0] == 200


@pytest.mark.usefixtures("neighbours")
def test_requests_sent_in_one_go_are_answered_in_their_order(running: Running) -> None:
    length = f"Content-Length: {len(BODY)}"
    wrong = head(running, "Content-Length: 2") + b"{}"
    with running.socket() as connection:
        connection.sendall(head(running, length) + BODY + wrong + head(running, length, "Connection: close") + BODY)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"422", b"200"]


def test_slow_callers_take_nobodys_place_and_are_given_up(running: Running) -> None:
    with ExitStack() as open_sockets:
        slow = [open_sockets.enter_context(running.socket()) for _ in range(MAX_CONCURRENT)]
        for connection in slow:
            connection.sendall(head(running, "Content-Length: 100") + b'{"rows":')
        assert running.call([ROW])[0] == 200
        answers = [reply(connection) for connection in slow]
    assert {status for status, _ in answers} == {408}
    assert json.loads(answers[0][1])["fix"] == "send the whole request at once"
    assert running.call([ROW])[0] == 200


def test_a_few_slow_callers_hold_up_nobody(running: Running, neighbours: Load) -> None:
    with ExitStack() as open_sockets:
        for _ in range(MAX_CONCURRENT - 4):
            connection = open_sockets.enter_context(running.socket())
            connection.sendall(head(running, "Content-Length: 100") + b"{")
        neighbours.wait_for(50)


def test_a_large_request_lets_small_ones_pass(running: Running, neighbours: Load) -> None:
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.extend(running.call([ROW] * 1000) for _ in range(20)))
    thread.start()
    before = len(neighbours.answers)
    thread.join()
    assert {status for status, _ in done} == {200}
    assert len(neighbours.answers) - before > 40, "two or more for each pause of a large one"
