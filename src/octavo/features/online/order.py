"""The order of events: by event time, then by when they became known, then by id; compiled."""

from octavo.features.online.compiled import Words, compiled
from octavo.features.online.shapes import ROW_HEAD


@compiled
def is_before(left: Words, right: Words) -> bool:
    """Whether an event comes before another; each is given by words that begin with its head."""
    for word in range(ROW_HEAD):
        if left[word] != right[word]:
            return bool(left[word] < right[word])
    return False
