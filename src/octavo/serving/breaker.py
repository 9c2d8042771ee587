"""When a store that fails is left alone, and when it is tried again."""

from enum import StrEnum

_FAILURES, _FAILING_S = 5, 0.05
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 2.0


class BreakerState(StrEnum):
    """What a breaker lets through: everything, nothing, or one lookup that finds out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after five failures in a row; after a pause it lets a single probe through, whose outcome decides.

    The failures must lie a twentieth of a second apart, the last from the first: those who wait together fail together,
    and a store that pauses once is not to be left alone for it.

    Pauses begin at a tenth of a second and double with each probe that fails, up to two seconds. Times are on any clock
    that only goes forward.

    Attributes
    ----------
    state : BreakerState
    opened : int
        How often it opened, not counting probes that failed.
    """

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.opened = 0
        self._failures = 0
        self._failing_since_s = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._again_at_s = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether the last lookup that ended had failed."""
        return self._failures > 0

    def lets_through(self, now_s: float) -> bool:
        """Whether a lookup may go ahead; it then ends in `succeeded`, `failed` or `abandoned`."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.HALF_OPEN or now_s < self._again_at_s:
            return False
        self.state = BreakerState.HALF_OPEN
        return True

    def succeeded(self) -> None:
        """Count a lookup that was answered."""
        self.state = BreakerState.CLOSED
        self._failures, self._pause_s = 0, _FIRST_PAUSE_S

    def failed(self, now_s: float) -> None:
        """Count a lookup that was not; of those that were under way when it opened, no more is made."""
        if not self._failures:
            self._failing_since_s = now_s
        self._failures += 1
        lasts = now_s - self._failing_since_s >= _FAILING_S
        if self.state is BreakerState.HALF_OPEN:
            self._pause_s = min(self._pause_s * 2, _LAST_PAUSE_S)
        elif self.state is BreakerState.CLOSED and self._failures >= _FAILURES and lasts:
            self.opened += 1
        else:
            return
        self.state = BreakerState.OPEN
        self._again_at_s = now_s + self._pause_s

    def abandoned(self) -> None:
        """Take note of a lookup whose outcome nobody saw; if it was the probe, the next one is another."""
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.OPEN
