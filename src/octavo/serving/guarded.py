"""The online store as requests read it: left alone while it fails, and counted."""

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from octavo.errors import OctavoError, Unavailable
from octavo.serving.breaker import Breaker, BreakerState
from octavo.serving.metrics import Family, Sample
from octavo.stores.ports import LoopReader

log = logging.getLogger(__name__)

_BUCKETS_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.25)
_DURATION = "octavo_feature_lookup_duration_seconds"
_RESULTS = ("answered", "failed", "timed_out", "not_tried")
_STATES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class GuardedReader:
    """Reads another reader as long as that is of use.

    Parameters
    ----------
    store : LoopReader
        What bounds the time of each read itself.
    now_s : callable
        A clock that only goes forward.

    Attributes
    ----------
    breaker : Breaker
    counts : dict of str to int
        Lookups by how they ended: ``answered``, ``failed``, ``timed_out``, or ``not_tried`` since the breaker was open.
    """

    def __init__(self, store: LoopReader, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.breaker = Breaker()
        self.counts = dict.fromkeys(_RESULTS, 0)
        self._store = store
        self._now_s = now_s
        self._durations = [0] * (len(_BUCKETS_S) + 1)
        self._duration_s = 0.0

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `LoopReader.read`.

        Raises
        ------
        Unavailable
            Also, and at once, while the store is left alone.
        """
        began_s = self._now_s()
        if not self.breaker.lets_through(began_s):
            self.counts["not_tried"] += 1
            raise Unavailable("the online store has failed again and again, and is left alone for a moment")
        try:
            found = await self._store.read(keys)
        except OctavoError as error:
            self._failed(error, began_s=began_s)
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        self._count("answered", began_s=began_s)
        if self.breaker.has_failed:
            self._recovered()
        return found

    @property
    def retries(self) -> int:
        """See `LoopReader`."""
        return self._store.retries

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def families(self) -> list[Family]:
        """All counts so far."""
        counts = tuple(Sample(count, {"result": result}) for result, count in self.counts.items())
        state, opened = _STATES[self.breaker.state], self.breaker.opened
        return [
            Family("octavo_feature_lookups_total", "counter", "Reads of the online store, by how they ended.", counts),
            Family(
                "octavo_feature_lookup_retries_total",
                "counter",
                "Reads of the online store that were sent once more.",
                (Sample(self.retries),),
            ),
            Family("octavo_feature_store_breaker_state", "gauge", "0 closed, 1 half open, 2 open.", (Sample(state),)),
            Family("octavo_feature_store_breaker_opened_total", "counter", "How often it opened.", (Sample(opened),)),
            Family(
                _DURATION, "histogram", "How long a read of the online store took.", tuple(self._duration_samples())
            ),
        ]

    def _failed(self, error: OctavoError, *, began_s: float) -> None:
        self._count("timed_out" if error.facts.get("timed_out") else "failed", began_s=began_s)
        before = self.breaker.opened
        self.breaker.failed(self._now_s())
        if self.breaker.opened > before:
            log.warning("the online store is left alone", extra={"reason": error.message})

    def _recovered(self) -> None:
        was_open = self.breaker.state is not BreakerState.CLOSED
        self.breaker.succeeded()
        if was_open:
            log.info("the online store answers again")

    def _count(self, result: str, *, began_s: float) -> None:
        self.counts[result] += 1
        took_s = self._now_s() - began_s
        self._durations[bisect_left(_BUCKETS_S, took_s)] += 1
        self._duration_s += took_s

    def _duration_samples(self) -> Iterable[Sample]:
        below = 0
        for bound, count in zip((*map(str, _BUCKETS_S), "+Inf"), self._durations, strict=True):
            below += count
            yield Sample(below, {"le": bound}, "_bucket")
        yield Sample(self._duration_s, {}, "_sum")
        yield Sample(below, {}, "_count")
