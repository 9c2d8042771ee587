"""What the demo of trips replays: the history that it learns from, and the weeks that it then lives through."""

from dataclasses import dataclass
from datetime import datetime, timedelta

HISTORY_DAYS = 91
REPLAY_DAYS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A stretch of recorded events: first history, then live traffic.

    Attributes
    ----------
    start : datetime
        Where the history ends and the replay begins; the project's clock stands there at first.
    history_days, days : int
        Lengths of the two.
    """

    start: datetime
    history_days: int = HISTORY_DAYS
    days: int = REPLAY_DAYS

    @property
    def history_from(self) -> datetime:
        """The beginning of the history."""
        return self.start - timedelta(days=self.history_days)

    @property
    def end(self) -> datetime:
        """The end of the replay."""
        return self.start + timedelta(days=self.days)
