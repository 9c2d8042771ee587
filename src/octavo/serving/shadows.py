"""What shadow versions are asked once the answers are sent: later, one request at a turn, and not at all under load."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from octavo.serving.metrics import Family, PredictorMetrics, Sample

log = logging.getLogger(__name__)

MOST_WAITING = 64

Job = Callable[[], Awaitable[None]]


class Shadows:
    """Requests that shadow versions are still to see.

    They are taken up one at a turn of the event loop, so that requests that wait always come first. Those beyond
    `most`, and all while the predictor is busy, are dropped and counted. Used from the event loop only.

    Parameters
    ----------
    metrics : PredictorMetrics
    is_busy : callable or None
        Whether the predictor has enough to do with those who wait for answers.
    most : int

    Attributes
    ----------
    dropped : int
        Predictions that no shadow made because of that.
    """

    def __init__(
        self, metrics: PredictorMetrics, *, is_busy: Callable[[], bool] | None = None, most: int = MOST_WAITING
    ) -> None:
        self.dropped = 0
        self._is_busy = is_busy or (lambda: False)
        self._most = most
        self._waiting: deque[tuple[Job, int]] = deque()
        self._task: asyncio.Task[None] | None = None
        metrics.include(self._families)

    def make_way(self, is_busy: Callable[[], bool]) -> None:
        """From now on ask this whether the predictor is busy."""
        self._is_busy = is_busy

    def add(self, job: Job, *, predictions: int) -> bool:
        """Have a request seen by the shadows later; False if it is dropped.

        Parameters
        ----------
        predictions : int
            That `job` would make.
        """
        if len(self._waiting) >= self._most or self._is_busy():
            self.dropped += predictions
            return False
        self._waiting.append((job, predictions))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return True

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)
                job, predictions = self._waiting.popleft()
                if self._is_busy():
                    self.dropped += predictions
                    continue
                try:
                    await job()
                except Exception:  # the edge of the process: a shadow never costs anything but itself
                    log.exception("a shadow version failed")
        finally:
            self._task = None

    def _families(self) -> list[Family]:
        return [
            Family(
                "octavo_shadow_predictions_dropped_total",
                "counter",
                "Predictions that no shadow version made, because there was too much else to do.",
                (Sample(self.dropped),),
            )
        ]
