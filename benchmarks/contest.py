"""Servers side by side on one core: they take turns, so that whatever else the machine does meets all of them alike."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from load import Borne, Server, drive, one_answer

CHECKED = 20
_HEAD = " requests/s  predictions/s   CPU us  p50 ms  p99 ms     MB failed requests/s   CPU us"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A server and what it is asked.

    Attributes
    ----------
    read : callable or None
        The predictions in an answer, as far as they can be checked.
    """

    name: str
    server: Server
    requests: Sequence[bytes]
    read: Callable[[bytes], list[float]] | None = None

    def check(self, expected: Sequence[Sequence[float]], *, tolerance: float = 1e-4) -> None:
        """Fail unless the first requests are answered as the estimator answers: with its probability or its class."""
        if self.read is None:
            return
        for request, wanted in zip(self.requests, expected, strict=False):
            found = np.array(self.read(one_answer(self.server, request)))
            probability = np.array(wanted)
            right = (abs(found - probability) < tolerance) | (found == (probability > 0.5))
            assert found.shape == probability.shape, (self.name, found.shape, probability.shape)
            assert right.all(), (self.name, found[~right][:3], probability[~right][:3])


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one contender: all of its rounds, and the memory that it held at the end."""

    name: str
    rounds: Sequence[Borne]
    memory_mb: float

    def middle(self, what: str) -> float:
        """The median of the rounds."""
        middle: float = median(getattr(one, what) for one in self.rounds)
        return middle

    @property
    def failed(self) -> int:
        return sum(one.failed for one in self.rounds)


def take_turns(contenders: Sequence[Contender], *, seconds: float, rounds: int, connections: int) -> dict[str, Result]:
    """Load each in turn, several times over; the first second of each is not counted."""
    for contender in contenders:
        drive(contender.server, contender.requests, seconds=1, connections=connections)
    borne: dict[str, list[Borne]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            took = drive(contender.server, contender.requests, seconds=seconds, connections=connections)
            borne[contender.name].append(took)
    return {
        contender.name: Result(
            name=contender.name, rounds=borne[contender.name], memory_mb=contender.server.memory_mb()
        )
        for contender in contenders
    }


def ratio(first: Result, second: Result, what: str) -> float:
    """How many times the second's the first's is, as the median over rounds that lay next to each other."""
    pairs = zip(first.rounds, second.rounds, strict=True)
    middle: float = median(getattr(one, what) / getattr(other, what) for one, other in pairs)
    return middle


def report(title: str, results: Mapping[str, Result], *, ours: str, per_request: int = 1) -> list[dict[str, Any]]:
    """Print a table, and return it as documents.

    Parameters
    ----------
    ours : str
        Whom the others are compared with.
    per_request : int
        Predictions in a request.
    """
    print(f"\n{title}; the last two columns: {ours} against this server\n{'':26}{_HEAD}")
    return [_line(title, results[ours], result, per_request=per_request) for result in results.values()]


def _line(title: str, ours: Result, result: Result, *, per_request: int) -> dict[str, Any]:
    per_s, cpu_us, p50_ms, p99_ms = (result.middle(what) for what in ("per_s", "cpu_us", "p50_ms", "p99_ms"))
    answers, takes = ratio(ours, result, "per_s"), ratio(ours, result, "cpu_us")
    print(
        f"{result.name:26}{per_s:11,.0f} {per_s * per_request:14,.0f} {cpu_us:8,.0f} {p50_ms:7.2f} {p99_ms:7.2f} "
        f"{result.memory_mb:6,.0f} {result.failed:6} {answers:11.2f} {takes:8.4f}",
        flush=True,
    )
    return {
        "what": title,
        "server": result.name,
        "predictions_in_a_request": per_request,
        "requests_per_s": per_s,
        "cpu_us": cpu_us,
        "cpu_us_of_a_prediction": cpu_us / per_request,
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "memory_mb": result.memory_mb,
        "failed": result.failed,
        "compared": ours.name,
        "requests_ratio": answers,
        "cpu_ratio": takes,
        "rounds": [asdict(one) for one in result.rounds],
    }


def keep(path: Path | None, documents: Iterable[Mapping[str, Any]]) -> None:
    """Keep what was measured as JSON, if asked to."""
    if path is not None:
        path.write_text(json.dumps(list(documents), indent=1) + "\n", encoding="utf-8")
