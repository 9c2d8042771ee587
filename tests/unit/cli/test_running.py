"""up and serve: real processes, started and ended as a person does."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.brokers import Brokers
from tests.unit.cli.shop import ROW, Shop, jsonl

from octavo.processes import PREDICTOR, WORKER, find_running, is_alive
from octavo.stores.kafka import KafkaTopic

TIMEOUT_S = 60.0
pytestmark = pytest.mark.slow


class Running:
    """A command that runs until it is told to stop."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self._said, self._told = _lines(process.stdout), _lines(process.stderr)

    def answer(self) -> Any:
        """The JSON object that it prints once it is ready."""
        text = ""
        while "}" not in text:
            text += self._said.get(timeout=TIMEOUT_S)
        return json.loads(text)

    def told(self, words: str) -> str:
        """The line of its error stream that holds some words."""
        while words not in (line := self._told.get(timeout=TIMEOUT_S)):
            pass
        return line


@contextmanager
def running(shop: Shop, *arguments: str) -> Iterator[Running]:
    command = [Path(sys.executable).with_name("octavo"), *arguments]
    process = subprocess.Popen(command, cwd=shop.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Running(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _lines(stream: IO[str]) -> "queue.Queue[str]":
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in stream:
            lines.put(line)

    threading.Thread(target=read, daemon=True).start()
    return lines


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_up_runs_all_of_it_starts_again_what_dies_and_leaves_nothing_behind(shop: Shop) -> None:
    shop.done("train", "spending", "--release")
    with running(shop, "up", "--json") as up:
        answer = up.answer()
        assert "/login?token=" in answer["console"]
        eventually(lambda: shop.run("predict", "till", jsonl(ROW)).exit_code == 0)
        predictor = find_running(shop.folder / ".octavo", PREDICTOR)
        assert predictor is not None
        os.kill(predictor.pid, signal.SIGKILL)
        assert "predictor ended with -9" in up.told("predictor")
        eventually(lambda: shop.run("predict", "till", jsonl(ROW)).exit_code == 0)
        started_again = shop.json("status")["processes"][-1]
        assert (started_again["address"], started_again["grpc_address"]) == (answer["predictor"], answer["grpc"])
        eventually(lambda: len(shop.json("predictions", "list", "till")) >= 3)
        pids = [process["pid"] for process in shop.json("status")["processes"]]
    assert [pid for pid in pids if is_alive(pid)] == []


def test_predictions_come_to_a_topic_once_though_the_worker_is_killed(
    shop: Shop, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers.make("shop.predictions", partitions=2)
    monkeypatch.setenv("OCTAVO_PREDICTOR_PUBLISH", f"kafka://{brokers.servers}/shop.predictions?create=no")
    monkeypatch.setenv("OCTAVO_PREDICTOR_WORKERS", "2")
    shop.done("train", "spending", "--release")
    with running(shop, "up", "--json") as up:
        up.answer()
        for _ in range(2):
            for _ in range(6):
                eventually(lambda: shop.run("predict", "till", jsonl(ROW)).exit_code == 0)
            worker = find_running(shop.folder / ".octavo", WORKER)
            assert worker is not None
            os.kill(worker.pid, signal.SIGKILL)
            assert "worker ended with -9" in up.told("worker")
            eventually(lambda: shop.json("status")["unpublished"]["records"] == 0)
    with shop.context() as context:
        rows = context.stores.tables.query("SELECT id FROM p", tables={"p": "predictions"})
    messages = read_topic(brokers, "shop.predictions")
    assert len(messages) > 10
    assert sorted(one["id"] for one in messages) == sorted(rows["id"].to_pylist())
    assert messages[-1]["inputs"].keys() == {"takings__spent_mean_24h", "takings__spent_latest", "items"}


def read_topic(brokers: Brokers, topic: str) -> list[dict[str, Any]]:
    reader = KafkaTopic(brokers.address(topic))
    consumer = Consumer({"bootstrap.servers": brokers.servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in reader.ends()])
    polled: list[Any] = [consumer.poll(TIMEOUT_S) for _ in range(sum(reader.ends().values()))]
    reader.close()
    consumer.close()
    return [json.loads(message.value()) for message in polled]


def test_serve_answers_until_it_is_told_to_stop(shop: Shop) -> None:
    with running(shop, "serve", "--json") as serve:
        answer = serve.answer()
        assert answer["predictor"].startswith("http://127.0.0.1:")
        assert answer["grpc"].startswith("127.0.0.1:")
        refused = shop.run("predict", "till", jsonl(ROW))
        assert refused.exit_code == 7
        assert "live version" in refused.stderr
