"""Callers of HTTP/2 who break its rules, or keep them and mean ill: memory is flat, and neighbours are served."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.integration.serving.test_slow_callers import memory_bytes
from tests.serving import calls
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import tensors
from tests.serving.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Http2,
    block,
    call_fields,
    connection,
    frame,
)
from tests.serving.processes import Load, Running, predictor
from tests.serving.projects import SETTINGS as PROJECT_SETTINGS
from tests.serving.projects import arm, make_project, manifest

LIVE = "/inference.GRPCInferenceService/ServerLive"
SLOW = 300
_ALLOWED_GROWTH_BYTES = 40_000_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("project")
    project = make_project(root, settings=f"{PROJECT_SETTINGS}max_concurrent = 50\ntimeout_ms = 2000\n")
    project.publish(manifest(arm(publish_bundle(project.artifacts))))
    with predictor(project) as found:
        yield found


def open_call(running: Running, hostile: Http2, stream: int = 1) -> None:
    """A call that predicts, whose message does not come."""
    hostile.call(stream, call_fields(calls.INFER, token=running.project.token), None)


def reset_rapidly(running: Running, hostile: Http2) -> None:
    fields = block(call_fields(LIVE))
    for stream in range(1, 40_001, 2):
        hostile.send(
            frame(HEADERS, fields, flags=END_HEADERS, stream=stream), frame(RST_STREAM, b"\0\0\0\x08", stream=stream)
        )


def be_made_to_reset(running: Running, hostile: Http2) -> None:
    fields = block(call_fields(LIVE))
    for stream in range(1, 20_001, 2):
        hostile.send(
            frame(HEADERS, fields, flags=END_HEADERS, stream=stream), frame(WINDOW_UPDATE, bytes(4), stream=stream)
        )


def never_end_the_headers(running: Running, hostile: Http2) -> None:
    hostile.send(frame(HEADERS, block(call_fields(LIVE)), stream=1))
    for number in range(20_000):
        hostile.send(frame(CONTINUATION, block([(b"x%d" % number, b"y" * 200)]), stream=1))


def refer_to_a_large_header(running: Running, hostile: Http2) -> None:
    remembered = b"\x40" + block([(b"big", b"z" * 3_000)])[1:]
    fields = block(call_fields(LIVE)) + remembered + b"\xbe" * 12_000
    hostile.send(frame(HEADERS, fields, flags=END_HEADERS | END_STREAM, stream=1))


def ping_and_read_nothing(running: Running, hostile: Http2) -> None:
    for _ in range(1_000):
        hostile.send(frame(PING, b"12345678") * 1_000)


def settle_and_read_nothing(running: Running, hostile: Http2) -> None:
    for _ in range(1_000):
        hostile.send(frame(SETTINGS, struct.pack(">HI", 4, 65_535)) * 1_000)


def send_nothing_often(running: Running, hostile: Http2) -> None:
    open_call(running, hostile)
    for _ in range(200):
        hostile.send(frame(DATA, stream=1) * 1_000)


def send_more_than_is_taken(running: Running, hostile: Http2) -> None:
    open_call(running, hostile)
    hostile.send(frame(DATA, b"\0\0\3\0\0", stream=1))
    for _ in range(200):
        hostile.send(frame(DATA, bytes(16_000), stream=1))


def say_nonsense(running: Running, hostile: Http2) -> None:
    hostile.send(np.random.default_rng(7).bytes(200_000))


@pytest.mark.parametrize(
    "attack",
    [
        reset_rapidly,
        be_made_to_reset,
        never_end_the_headers,
        refer_to_a_large_header,
        ping_and_read_nothing,
        settle_and_read_nothing,
        send_nothing_often,
        send_more_than_is_taken,
        say_nonsense,
    ],
)
def test_an_attack_costs_neither_memory_nor_the_neighbours(
    running: Running, attack: Callable[[Running, Http2], None]
) -> None:
    with Load(running, [ROW], callers=1) as neighbour:
        neighbour.wait_for(20)
        before = memory_bytes(running)
        with connection(running.grpc_port) as hostile, suppress(OSError):
            attack(running, hostile)
        neighbour.wait_for(50)
        assert memory_bytes(running) - before < _ALLOWED_GROWTH_BYTES
    assert {status for status, _ in neighbour.answers} == {200}
    with connection(running.grpc_port) as good:
        good.call(1, call_fields(LIVE), calls.frame(b""))
        assert good.until_end_of(1) == [b"\x00\x00\x00\x00\x02\x08\x01"]


@pytest.mark.parametrize("attack", [reset_rapidly, never_end_the_headers])
def test_who_resets_without_end_or_never_ends_is_sent_away(
    running: Running, attack: Callable[[Running, Http2], None]
) -> None:
    with connection(running.grpc_port) as hostile:
        with suppress(OSError):
            attack(running, hostile)
        assert GOAWAY in [kind for kind, *_ in hostile.frames()]


def test_callers_whose_messages_never_come_hold_nobody_up(running: Running) -> None:
    with ExitStack() as slow:
        for _ in range(SLOW):
            open_call(running, slow.enter_context(connection(running.grpc_port)))
        time.sleep(0.2)
        with connection(running.grpc_port) as good:
            body = calls.frame(calls.raw(tensors([ROW])).SerializeToString())
            good.call(1, call_fields(calls.INFER, token=running.project.token), body)
            assert b"prediction" in b"".join(good.until_end_of(1))


@pytest.mark.parametrize("body", [None, b"\x00"])
def test_a_message_that_does_not_come_is_given_up(running: Running, body: bytes | None) -> None:
    with connection(running.grpc_port) as slow:
        open_call(running, slow)
        if body is not None:
            slow.send(frame(DATA, body, stream=1))
        began = time.monotonic()
        slow.until_end_of(1)
    assert time.monotonic() - began < 10


def test_answers_that_nobody_reads_are_not_kept_for_ever(running: Running) -> None:
    body = calls.frame(
        calls.raw(
            [{"name": "model_inputs", "datatype": "FP32", "shape": [1000, 5], "data": [1.0] * 5_000}]
        ).SerializeToString()
    )
    no_window = struct.pack(">HI", 4, 0)
    before = memory_bytes(running)
    with ExitStack() as unread, suppress(OSError):
        for _ in range(50):
            hostile = unread.enter_context(connection(running.grpc_port, settings=no_window))
            hostile.send(
                frame(HEADERS, block(call_fields(calls.INFER, token=running.project.token)), flags=4, stream=1),
                *(frame(DATA, body[at : at + 16_000], stream=1) for at in range(0, len(body), 16_000)),
                frame(DATA, flags=END_STREAM, stream=1),
            )
        with Load(running, [ROW], callers=1) as neighbour:
            neighbour.wait_for(50)
        assert memory_bytes(running) - before < _ALLOWED_GROWTH_BYTES


def test_who_speaks_no_http2_is_closed(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.grpc_port), timeout=30) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        while other.recv(4096):
            pass
