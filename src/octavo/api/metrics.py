"""What the control process counts about itself, in Prometheus' text format."""

from bisect import bisect_left
from collections import defaultdict

BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)


class RequestMetrics:
    """Requests by route and status, and how long they took. Used from the event loop only."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * (len(BUCKETS_S) + 2))

    def record(self, *, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one answered request."""
        self._requests[method, route, status] += 1
        durations = self._durations[method, route]
        durations[bisect_left(BUCKETS_S, duration_s)] += 1
        durations[-1] += duration_s

    def render(self) -> str:
        """All counts so far."""
        total = "octavo_control_requests_total"
        lines = [f"# HELP {total} Requests answered.", f"# TYPE {total} counter"]
        for (method, route, status), count in sorted(self._requests.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            lines.append(f"{total}{{{labels}}} {count}")
        name = "octavo_control_request_duration_seconds"
        lines += [f"# HELP {name} From the request's arrival to its answer.", f"# TYPE {name} histogram"]
        for (method, route), durations in sorted(self._durations.items()):
            labels, below = f'method="{method}",route="{route}"', 0.0
            for bound, within in zip((*map(str, BUCKETS_S), "+Inf"), durations, strict=False):
                below += within
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {below:.0f}')
            lines += [f"{name}_sum{{{labels}}} {durations[-1]:.6f}", f"{name}_count{{{labels}}} {below:.0f}"]
        return "\n".join(lines) + "\n"
