"""How the benchmarks measure: contenders take turns, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one contender took, as the median of its rounds.

    Attributes
    ----------
    cpu_s : float
        Seconds of processor time of this process, all threads together.
    wall_s : float
    """

    cpu_s: float
    wall_s: float


def in_turns(contenders: Mapping[str, Callable[[], object]], *, rounds: int = 3) -> dict[str, Spent]:
    """Run all contenders, one after the other, several times over."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: Spent(cpu_s=median(cpu for cpu, _ in of), wall_s=median(wall for _, wall in of))
        for name, of in spent.items()
    }
