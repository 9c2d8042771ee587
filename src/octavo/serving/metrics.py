"""What a predictor counts about itself, in Prometheus' text format. Used from the event loop only."""

from bisect import bisect_left
from collections import defaultdict

_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)


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

    def request(self, status: int, *, duration_s: float) -> None:
        """Count an answered request."""
        self._requests[status] += 1
        self._durations[bisect_left(_BUCKETS_S, duration_s)] += 1
        self._duration_s += duration_s

    def predictions(self, deployment: str, *, model: str, version: int, arm: str, made: int, failed: int) -> None:
        """Count a version's predictions."""
        labels = (deployment, model, version, arm)
        self._predictions[labels] += made
        self._failures[labels] += failed

    def render(self) -> str:
        """All counts so far."""
        lines = []
        for name, what, counts in (
            ("octavo_predictions_total", "Predictions made, by version and arm.", self._predictions),
            ("octavo_prediction_failures_total", "Predictions without a finite number.", self._failures),
        ):
            lines += [f"# HELP {name} {what}", f"# TYPE {name} counter"]
            for (deployment, model, version, arm), count in sorted(counts.items()):
                labels = f'deployment="{deployment}",model="{model}",version="{version}",arm="{arm}"'
                lines.append(f"{name}{{{labels}}} {count}")
        lines += [
            "# HELP octavo_predictor_requests_total Requests answered.",
            "# TYPE octavo_predictor_requests_total counter",
        ]
        lines += [f'octavo_predictor_requests_total{{status="{s}"}} {n}' for s, n in sorted(self._requests.items())]
        for name, what, count in (
            (
                "octavo_prediction_records_lost_total",
                "Prediction records that the log did not take.",
                self.records_lost,
            ),
            ("octavo_degraded_requests_total", "Requests answered without the online store.", self.degraded),
        ):
            lines += [f"# HELP {name} {what}", f"# TYPE {name} counter", f"{name} {count}"]
        return "\n".join([*lines, *self._histogram()]) + "\n"

    def _histogram(self) -> list[str]:
        name, below = "octavo_predictor_request_duration_seconds", 0
        lines = [f"# HELP {name} From the request's arrival to its answer.", f"# TYPE {name} histogram"]
        for bound, count in zip((*map(str, _BUCKETS_S), "+Inf"), self._durations, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {self._duration_s:.6f}", f"{name}_count {below}"]
