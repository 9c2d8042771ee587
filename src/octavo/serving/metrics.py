"""What a predictor counts about itself, in Prometheus' names and units. Used from the event loop only."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0)
_AT_ONCE = 256
_DURATION = "octavo_predictor_request_duration_seconds"


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """One number.

    Attributes
    ----------
    suffix : str
        What stands behind the family's name, such as ``_bucket``.
    labels : dict
        Their values hold no quotes.
    """

    value: float
    labels: dict[str, str] = {}
    suffix: str = ""


class Family(msgspec.Struct, array_like=True, frozen=True):
    """The numbers of one name: ``counter``, ``gauge`` or ``histogram``."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


class PredictorMetrics:
    """Counters of one process.

    Attributes
    ----------
    records_lost : int
        Prediction records that the log did not take.
    degraded : int
        Requests answered while the online store could not be read, or lacked a view.
    """

    def __init__(self) -> None:
        self.records_lost = 0
        self.degraded = 0
        self._requests: defaultdict[int, int] = defaultdict(int)
        self._predictions: defaultdict[tuple[str, str, int, str], int] = defaultdict(int)
        self._failures: defaultdict[tuple[str, str, int, str], int] = defaultdict(int)
        self._durations = [0] * (len(_BUCKETS_S) + 1)
        self._duration_s = 0.0
        self._answered: list[tuple[int, float]] = []
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._others: list[Callable[[], Sequence[Family]]] = []

    def request(self, status: int, *, duration_s: float) -> None:
        """Count an answered request."""
        self._answered.append((status, duration_s))
        if len(self._answered) >= _AT_ONCE:
            self._count()

    def _count(self) -> None:
        """Count what was answered lately: many at once, which costs a request the least."""
        answered, self._answered = self._answered, []
        durations = [duration_s for _, duration_s in answered]
        for status, n in Counter(status for status, _ in answered).items():
            self._requests[status] += n
        for place, n in Counter(np.searchsorted(_BUCKETS_S, durations).tolist()).items():
            self._durations[place] += n
        self._duration_s += sum(durations)

    def predictions(self, deployment: str, model: str, version: int, arm: str, *, made: int, failed: int = 0) -> None:
        """Count a version's predictions."""
        labels = (deployment, model, version, arm)
        self._predictions[labels] += made
        self._failures[labels] += failed

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Have a number read whenever somebody asks for all."""
        self._gauges[name] = (what, read)

    def include(self, families: Callable[[], Sequence[Family]]) -> None:
        """Have what something else counts among all, whenever somebody asks for it."""
        self._others.append(families)

    def families(self) -> list[Family]:
        """All counts so far, and what is true now."""
        self._count()
        return [
            _by_version("octavo_predictions_total", "Predictions made, by version and arm.", self._predictions),
            _by_version("octavo_prediction_failures_total", "Predictions without a finite number.", self._failures),
            Family(
                "octavo_predictor_requests_total",
                "counter",
                "Requests answered, by status.",
                tuple(Sample(n, {"status": str(status)}) for status, n in sorted(self._requests.items())),
            ),
            _counter(
                "octavo_prediction_records_lost_total",
                "Prediction records that the log did not take.",
                self.records_lost,
            ),
            _counter("octavo_degraded_requests_total", "Requests answered without the online store.", self.degraded),
            Family(
                _DURATION, "histogram", "From the request's arrival to its answer.", tuple(self._duration_samples())
            ),
            *(family for families in self._others for family in families()),
            *(Family(name, "gauge", what, (Sample(read()),)) for name, (what, read) in self._gauges.items()),
            _counter("process_cpu_seconds_total", "User and system CPU time spent.", sum(os.times()[:2])),
            Family("process_resident_memory_bytes", "gauge", "Resident memory size.", (Sample(_resident_bytes()),)),
        ]

    def render(self) -> str:
        """All of it in text format 0.0.4."""
        return render(self.families())

    def _duration_samples(self) -> Iterable[Sample]:
        below = 0
        for bound, count in zip((*map(str, _BUCKETS_S), "+Inf"), self._durations, strict=True):
            below += count
            yield Sample(below, {"le": bound}, "_bucket")
        yield Sample(self._duration_s, {}, "_sum")
        yield Sample(below, {}, "_count")


def render(families: Iterable[Family]) -> str:
    """Families in Prometheus' text format 0.0.4."""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            value = f"{sample.value:.6f}" if isinstance(sample.value, float) else str(sample.value)
            lines.append(f"{family.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {value}")
    return "\n".join(lines) + "\n"


def together(by_worker: Mapping[int, Sequence[Family]]) -> list[Family]:
    """The families of several processes, each sample under its worker's label."""
    found: dict[str, Family] = {}
    for worker, families in sorted(by_worker.items()):
        for family in families:
            known = found.get(family.name, msgspec.structs.replace(family, samples=()))
            own = tuple(
                msgspec.structs.replace(sample, labels={"worker": str(worker), **sample.labels})
                for sample in family.samples
            )
            found[family.name] = msgspec.structs.replace(known, samples=(*known.samples, *own))
    return list(found.values())


def _counter(name: str, what: str, value: float) -> Family:
    return Family(name, "counter", what, (Sample(value),))


def _by_version(name: str, what: str, counts: Mapping[tuple[str, str, int, str], int]) -> Family:
    return Family(
        name,
        "counter",
        what,
        tuple(
            Sample(count, {"deployment": deployment, "model": model, "version": str(version), "arm": arm})
            for (deployment, model, version, arm), count in sorted(counts.items())
        ),
    )


def _resident_bytes() -> int:
    """Of this process; 0 where the system does not tell as Linux does."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGESIZE")
