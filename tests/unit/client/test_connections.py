import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.client.scripted import Reply, ScriptedServer, scripted_server

from octavo.client.connections import Connection, ConnectionLost
from octavo.errors import InvalidRequest, LimitExceeded, Unavailable

LOST = Reply(status=None)


@contextmanager
def connected(server: ScriptedServer, *, timeout_s: float = 5.0) -> Iterator[Connection]:
    connection = Connection(server.url, token="octavo_1_2", timeout_s=timeout_s)
    try:
        yield connection
    finally:
        connection.close()


def test_a_request_carries_the_token_and_json() -> None:
    with scripted_server(Reply(body={"rows": 3})) as server, connected(server) as connection:
        assert connection.call("POST", "/events/rides", {"rows": [{"a": 1}]}) == {"rows": 3}
    (sent,) = server.requests
    assert (sent.method, sent.path, sent.body) == ("POST", "/events/rides", {"rows": [{"a": 1}]})
    assert sent.headers["authorization"] == "Bearer octavo_1_2"
    assert sent.headers["content-type"] == "application/json"


def test_requests_share_one_connection() -> None:
    with scripted_server() as server, connected(server) as connection:
        for _ in range(3):
            connection.call("GET", "/livez")
    assert len({sent.client for sent in server.requests}) == 1


def test_an_idle_connection_that_the_server_closed_is_opened_anew_before_anything_is_sent() -> None:
    with scripted_server(Reply(body={}, then_close=True)) as server, connected(server) as connection:
        connection.call("GET", "/livez")
        time.sleep(0.05)
        connection.call("POST", "/api/models.train", {}, repeatable=False)
    assert len(server.requests) == 2
    assert len({sent.client for sent in server.requests}) == 2


def test_a_repeatable_request_whose_connection_is_lost_is_sent_once_more() -> None:
    with scripted_server(LOST, Reply(body="done")) as server, connected(server) as connection:
        assert connection.call("POST", "/outcomes", {}, repeatable=True) == "done"
    assert len(server.requests) == 2


def test_a_repeatable_request_is_not_sent_a_third_time() -> None:
    with (
        scripted_server(LOST, LOST, Reply(body="done")) as server,
        connected(server) as connection,
        pytest.raises(ConnectionLost),
    ):
        connection.call("POST", "/outcomes", {}, repeatable=True)
    assert len(server.requests) == 2


def test_a_request_that_is_not_repeatable_is_sent_once_and_its_loss_is_told() -> None:
    with (
        scripted_server(LOST) as server,
        connected(server) as connection,
        pytest.raises(ConnectionLost, match="look before you send it again"),
    ):
        connection.call("POST", "/api/models.train", {})
    assert len(server.requests) == 1


def test_a_lost_connection_is_opened_anew_by_the_next_request() -> None:
    with scripted_server(LOST, Reply(body="done")) as server, connected(server) as connection:
        with pytest.raises(ConnectionLost):
            connection.call("POST", "/api/models.train", {})
        assert connection.call("GET", "/livez") == "done"


def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    with scripted_server() as server:
        pass
    with connected(server) as connection, pytest.raises(Unavailable, match="is `octavo up` running"):
        connection.call("GET", "/livez", repeatable=True)


def test_a_request_that_is_not_answered_in_time_is_not_repeated() -> None:
    gate = threading.Event()

    def slow() -> Reply:
        gate.wait(5)
        return Reply(body="late")

    with scripted_server(slow, Reply(body="next")) as server, connected(server, timeout_s=0.1) as connection:
        with pytest.raises(Unavailable, match=r"did not answer within 0\.1 s"):
            connection.call("GET", "/slow", repeatable=True)
        assert connection.call("GET", "/next") == "next"
        assert [sent.path for sent in server.requests] == ["/slow", "/next"]
        gate.set()


def test_one_request_may_be_given_more_time() -> None:
    def slow() -> Reply:
        time.sleep(0.3)
        return Reply(body="late")

    with scripted_server(slow, slow) as server, connected(server, timeout_s=0.1) as connection:
        assert connection.call("GET", "/slow", timeout_s=5.0) == "late"
        with pytest.raises(Unavailable, match=r"within 0\.1 s"):
            connection.call("GET", "/slow")


def test_the_answer_of_a_server_that_refuses_a_body_before_reading_it_is_heard() -> None:
    refusal = b'{"code": "limit_exceeded", "detail": "the body is larger than 10 bytes", "fix": "send fewer rows"}'

    def refuse(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        with accepted:
            accepted.recv(1024)
            head = f"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: {len(refusal)}\r\n\r\n"
            accepted.sendall(head.encode() + refusal)
            accepted.shutdown(socket.SHUT_WR)
            while accepted.recv(1 << 20):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse, args=(listening,))
        thread.start()
        connection = Connection(f"http://127.0.0.1:{listening.getsockname()[1]}", token="t")
        with pytest.raises(LimitExceeded, match="larger than 10 bytes"):
            connection.call("POST", "/outcomes", {"rows": ["x" * 1_000_000]})
        connection.close()
        thread.join()


def test_the_address_is_asked_for_again_when_a_process_has_moved() -> None:
    urls: list[str] = []
    with scripted_server() as old:
        urls.append(old.url)
        connection = Connection(lambda: urls[-1], token="t")
        connection.call("GET", "/a")
        with scripted_server(Reply(body="moved")) as new:
            urls.append(new.url)
            old.script.append(LOST)
            assert connection.call("GET", "/b", repeatable=True) == "moved"
        connection.close()


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://there", "http://"])
def test_what_is_no_http_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidRequest, match="no HTTP address") as refused:
        Connection(url, token="t")
    assert refused.value.field == "url"
