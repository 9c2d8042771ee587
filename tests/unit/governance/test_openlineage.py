"""Lineage told to others: what is told, that it is told once and in order, and that nothing is lost."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.brokers import Brokers
from tests.showrooms import Showroom, empty_showroom, full_showroom

from octavo.clock import ManualClock
from octavo.errors import ConfigurationError, InvalidRequest, Unavailable
from octavo.governance.openlineage.delivery import REFUSALS, deliver
from octavo.governance.openlineage.outbox import LineageMark, LineageMessage, fill_outbox
from octavo.governance.openlineage.receivers import open_receiver
from octavo.operations import Context
from octavo.record_settings import LineageSettings
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.lost import SILENT_FOR, heard, record_lost, wall_now

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TEXT = {"type": "string", "minLength": 1}
FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {"_producer": {"format": "uri", **TEXT}, "_schemaURL": {"format": "uri", **TEXT}},
    },
}
NAMED = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": TEXT, "name": TEXT, "facets": FACETS, "inputFacets": FACETS, "outputFacets": FACETS,
    },
}  # fmt: skip
RUN_EVENT = {
    "type": "object",
    "required": ["run", "job", "eventTime", "producer", "schemaURL"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"format": "uri", **TEXT},
        "schemaURL": {"format": "uri", **TEXT},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": FACETS},
        },
        "job": NAMED,
        "inputs": {"type": "array", "items": NAMED},
        "outputs": {"type": "array", "items": NAMED},
    },
}
"""What OpenLineage's specification demands of a run event."""


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return full_showroom(tmp_path)


def waiting(context: Context) -> list[LineageMessage]:
    with context.transaction() as tx:
        return tx.find(LineageMessage, is_waiting=True)


def events_of(context: Context) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in waiting(context)]


class Receiver:
    """A small OpenLineage receiver."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.authorized: list[str | None] = []
        self.answers: list[int] = []
        self.url = ""


@contextmanager
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = state.answers.pop(0) if state.answers else 201
            if status < 300 and self.path == "/api/v1/lineage":
                state.got.append(body)
                state.authorized.append(self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told_to(room: Showroom, url: str, **settings: str) -> Context:
    lineage = LineageSettings(openlineage=url, **settings)
    return replace(room.context, config=replace(room.context.config, lineage=lineage))


def test_each_event_is_as_the_specification_demands(room: Showroom) -> None:
    fill_outbox(room.context)
    found = events_of(room.context)
    assert len(found) > 20
    check = jsonschema.Draft202012Validator(RUN_EVENT, format_checker=jsonschema.FormatChecker())
    assert [error.message for event in found for error in check.iter_errors(event)] == []


def test_every_run_that_began_is_told_of_with_one_start_and_at_most_one_end(room: Showroom) -> None:
    fill_outbox(room.context)
    types: dict[str, list[str]] = {}
    for event in events_of(room.context):
        types.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert all(found[0] == "START" and len(found) <= 2 for found in types.values())
    assert {found[1] for found in types.values() if len(found) == 2} == {"COMPLETE", "FAIL", "ABORT"}


def test_a_training_is_told_with_what_it_used_and_what_it_made(room: Showroom) -> None:
    fill_outbox(room.context)
    ended = next(
        event
        for event in events_of(room.context)
        if event["job"]["name"] == "train.arrival_delay" and event["eventType"] == "COMPLETE"
    )
    assert ended["job"]["namespace"] == "octavo://flights"
    assert [one["name"] for one in ended["inputs"]] == ["datasets/sha256:" + "3f" * 32]
    [version] = ended["outputs"]
    assert version["name"] == "models/arrival_delay/1"
    assert version["facets"]["octavo_model_version"]["passed"] is True
    assert ended["run"]["facets"]["octavo_training"]["metrics"] == {"mae": 15.1, "rmse": 27.4}


def test_a_training_that_failed_says_why(room: Showroom) -> None:
    fill_outbox(room.context)
    failed = [event for event in events_of(room.context) if event["eventType"] == "FAIL"]
    trainings = [event for event in failed if event["job"]["name"].startswith("train.")]
    assert trainings
    assert all(event["run"]["facets"]["errorMessage"]["message"] for event in trainings)


def test_what_was_told_is_not_told_again_and_what_ends_later_is(room: Showroom) -> None:
    context = room.context
    with context.transaction() as tx:
        run = replace(tx.find(Run)[0], id=f"01900000-0000-7000-8000-{99:012d}", status=RunStatus.RUNNING, version=None)
        tx.add(run)
    fill_outbox(context)
    before = len(waiting(context))
    assert fill_outbox(context) == 0
    with context.transaction() as tx:
        tx.put(replace(run, status=RunStatus.FAILED, error="out of memory"))
    assert fill_outbox(context) == 1
    assert waiting(context)[before].id == f"run/{run.id}/FAIL"


def test_a_run_that_was_lost_and_comes_back_is_told_to_go_on_each_time(room: Showroom) -> None:
    context = room.context
    with context.transaction() as tx:
        run = replace(
            tx.find(Run)[0],
            id=f"01900000-0000-7000-8000-{99:012d}",
            status=RunStatus.RUNNING,
            version=None,
            finished_at=None,
            heard_at=wall_now(),
        )
        tx.add(run)
    fill_outbox(context)
    for goes_on in (RunStatus.RUNNING, RunStatus.RUNNING, RunStatus.SUCCEEDED):
        assert run.id in record_lost(context, now=wall_now() + 2 * SILENT_FOR)
        assert [fill_outbox(context), fill_outbox(context)] == [1, 0]
        with context.transaction() as tx:
            lost = tx.get(Run, run.id)
            assert lost is not None
            ended_at = context.clock.now() if goes_on.ended else None
            tx.put(replace(heard(lost, now=wall_now()), status=goes_on, finished_at=ended_at))
        assert [fill_outbox(context), fill_outbox(context)] == [1 + goes_on.ended, 0]
    told = [event for event in events_of(context) if event["run"]["runId"] == run.id]
    types = [event["eventType"] for event in told]
    assert types == ["START", "ABORT", "RUNNING", "ABORT", "RUNNING", "ABORT", "RUNNING", "COMPLETE"]
    assert told[-2]["eventTime"] <= told[-1]["eventTime"]


def test_one_that_is_lost_for_good_is_looked_at_no_more(room: Showroom) -> None:
    context, ids = room.context, [f"01900000-0000-7000-8000-{number:012d}" for number in (98, 99)]
    with context.transaction() as tx:
        for run_id, silent_for in zip(ids, (timedelta(hours=1), timedelta(days=8)), strict=True):
            heard_at = wall_now() - silent_for
            tx.add(replace(tx.find(Run)[0], id=run_id, status=RunStatus.LOST, heard_at=heard_at))
    fill_outbox(context)
    with context.transaction() as tx:
        mark = tx.get(LineageMark, Run.kind)
    assert mark is not None
    assert [run_id in mark.going for run_id in ids] == [True, False]


def test_more_records_than_one_look_takes_are_all_found(tmp_path: Path) -> None:
    context = empty_showroom(tmp_path).context
    ids = [f"01900000-0000-7000-8000-{number:012d}" for number in range(300)]
    with context.transaction() as tx:
        for run_id in ids:
            tx.add(
                Run(
                    id=run_id,
                    model="m",
                    status=RunStatus.FAILED,
                    trigger="user",
                    as_of=NOON,
                    started_at=NOON,
                    error="x",
                )
            )
    fill_outbox(context)
    assert [message.id for message in waiting(context)][::2] == [f"run/{run_id}/START" for run_id in ids]


def test_a_receiver_gets_all_in_order(room: Showroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEZ_TOKEN", "s3cret")
    with receiver() as other:
        context = told_to(room, other.url, token="env:MARQUEZ_TOKEN", namespace="shop")
        fill_outbox(context)
        expected = events_of(context)
        send = open_receiver(context.config)
        assert send is not None
        assert deliver(context, send) == len(expected)
    assert other.got == expected
    assert set(other.authorized) == {"Bearer s3cret"}
    assert {event["job"]["namespace"] for event in other.got} == {"shop"}
    with context.transaction() as tx:
        assert all(message.told_at and not message.body for message in tx.find(LineageMessage))


def test_while_the_receiver_is_away_nothing_is_lost(room: Showroom) -> None:
    with receiver() as away:
        url = away.url
    context, clock = told_to(room, url), ManualClock(NOON)
    fill_outbox(context)
    expected = [message.id for message in waiting(context)]
    send = open_receiver(context.config)
    assert send is not None
    pauses = []
    for tries in range(1, 13):
        assert deliver(context, send, clock=clock) == 0
        assert deliver(context, send, clock=clock) == 0  # at once: not tried again before its time
        first = waiting(context)[0]
        assert first.tries == tries
        assert first.try_after is not None
        pauses.append((first.try_after - clock.now()).total_seconds())
        clock.advance(first.try_after)
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses[-1] == 600
    assert [message.id for message in waiting(context)] == expected
    with receiver() as back:
        send = open_receiver(told_to(room, back.url).config)
        assert send is not None
        assert deliver(context, send, clock=clock) == len(expected)
    assert len(back.got) == len(expected)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_receiver_in_trouble_is_tried_again(room: Showroom, status: int) -> None:
    with receiver() as other:
        other.answers = [status]
        context, clock = told_to(room, other.url), ManualClock(NOON)
        fill_outbox(context)
        count = len(waiting(context))
        send = open_receiver(context.config)
        assert send is not None
        assert deliver(context, send, clock=clock) == 0
        clock.advance(NOON + timedelta(seconds=2))
        assert deliver(context, send, clock=clock) == count


def test_an_event_that_is_refused_again_and_again_holds_up_no_other(room: Showroom) -> None:
    with receiver() as other:
        other.answers = [422] * REFUSALS
        context, clock = told_to(room, other.url), ManualClock(NOON)
        fill_outbox(context)
        expected = [message.id for message in waiting(context)]
        send = open_receiver(context.config)
        assert send is not None
        for _ in range(REFUSALS):
            deliver(context, send, clock=clock)
            clock.advance(clock.now() + timedelta(hours=1))
        deliver(context, send, clock=clock)
    assert len(other.got) == len(expected) - 1
    with context.transaction() as tx:
        given_up = tx.get(LineageMessage, expected[0])
    assert given_up is not None
    assert (given_up.is_waiting, given_up.told_at, given_up.error) == (
        False,
        None,
        "the OpenLineage receiver answered 422",
    )


def test_two_workers_tell_each_event_once(room: Showroom) -> None:
    fill_outbox(room.context)
    expected = len(waiting(room.context))
    told: list[str] = []
    lock = threading.Lock()

    def send(body: str) -> None:
        with lock:
            told.append(body)

    workers = [threading.Thread(target=_until_all_is_told, args=(room.context, send)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(told) == len(set(told)) == expected


def _until_all_is_told(context: Context, send: Any) -> None:
    while waiting(context):
        deliver(context, send)


def test_a_worker_that_died_while_telling_leaves_the_event_to_the_next_one(room: Showroom) -> None:
    context, clock = room.context, ManualClock(NOON)
    fill_outbox(context)
    first = waiting(context)[0].id

    def die(body: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(context, die, clock=clock)
    told: list[str] = []
    assert deliver(context, told.append, clock=clock) == 0
    clock.advance(NOON + timedelta(seconds=2))
    deliver(context, told.append, clock=clock)
    assert json.loads(told[0])["run"]["runId"] in first or first.startswith("dataset/")


def test_a_file_gets_a_line_each(room: Showroom) -> None:
    context = told_to(room, "file:told/lineage.jsonl")
    fill_outbox(context)
    expected = events_of(context)
    send = open_receiver(context.config)
    assert send is not None
    deliver(context, send)
    lines = (context.config.root / "told" / "lineage.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected


def test_a_file_that_cannot_be_written_is_tried_later(room: Showroom) -> None:
    (room.context.config.root / "told").write_text("a file where the folder should be")
    send = open_receiver(told_to(room, "file:told/lineage.jsonl").config)
    assert send is not None
    with pytest.raises(Unavailable, match="cannot be written"):
        send("{}")


def test_what_no_receiver_is_spoken_to_by_is_refused(room: Showroom) -> None:
    with pytest.raises(ConfigurationError, match="there is no adapter"):
        open_receiver(told_to(room, "ftp://somewhere").config)
    assert open_receiver(room.context.config) is None


def test_a_refusal_is_no_absence(room: Showroom) -> None:
    with receiver() as other:
        other.answers = [400]
        send = open_receiver(told_to(room, other.url).config)
        assert send is not None
        with pytest.raises(InvalidRequest, match="answered 400"):
            send("{}")


def test_a_topic_gets_a_message_each_in_order(room: Showroom, brokers: Brokers) -> None:
    brokers.make("lineage", partitions=1)
    context = told_to(room, f"kafka://{brokers.servers}/lineage?create=no")
    fill_outbox(context)
    expected = events_of(context)
    send = open_receiver(context.config)
    assert send is not None
    assert deliver(context, send) == len(expected)
    reader = Consumer({"bootstrap.servers": brokers.servers, "group.id": "reader", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition("lineage", 0, 0)])
    messages: list[Any] = []
    while len(messages) < len(expected):
        messages += reader.consume(len(expected), timeout=1.0)
    reader.close()
    assert [json.loads(message.value()) for message in messages] == expected
    assert all(message.key().startswith(b"run:octavo://flights/") for message in messages)
