"""A view's features at a moment, computed from the state of one entity.

This runs in every prediction, so it reads only the words that it needs: one row of fields per window, and the few
events of the tail.
"""

import numpy as np

from octavo.definitions.features import Feature
from octavo.features.cuts import Cutter, value_of, windows_of
from octavo.features.keys import decode_generation
from octavo.features.newest import NewestReader, newest_of
from octavo.features.opened import StateOpener
from octavo.features.readings import FOREVER, LONG_AGO, Reading, float32
from octavo.features.state import NEVER, StateCodec
from octavo.features.values import FeatureStatus

_NAN = float("nan")
_PRESENT, _STALE, _MISSING = int(FeatureStatus.PRESENT), int(FeatureStatus.STALE), int(FeatureStatus.MISSING)


class Lookup:
    """Computes one view's features from the states of its live generation.

    Parameters
    ----------
    pointer : bytes
        The generation, encoded.
    features : tuple of Feature
        What to compute; one that the states do not hold is missing.
    """

    def __init__(self, pointer: bytes, features: tuple[Feature, ...]) -> None:
        generation = decode_generation(pointer)
        layout = generation.layout
        self.prefix = generation.prefix
        codec = StateCodec(layout)
        self._opener, self._cutter = StateOpener(codec), Cutter(codec)
        held = [(place, f) for place, f in enumerate(features) if layout.holds(f)]
        self._windows = windows_of(((place, f) for place, f in held if not f.operation.is_of_newest), codec)
        self._unknown = [_NAN] * len(features)
        newest = [newest_of(f, layout, place=place) for place, f in held if f.operation.is_of_newest]
        self._newest = NewestReader(newest, layout)
        self._values = [_NAN] * len(features)
        self._status = [_MISSING] * len(features)
        for place, f in held:
            if f.operation.counts:
                self._values[place], self._status[place] = 0.0, _PRESENT
        self._nothing = _reading(None, self._values, self._status, self._unknown, since_us=LONG_AGO, until_us=FOREVER)

    def read(self, data: bytes | None, at_us: int) -> Reading:
        """The features of one entity.

        Parameters
        ----------
        data : bytes or None
            Its state; None if it has none.
        at_us : int
            Only events known before it count; microseconds since 1970.
        """
        if data is None:
            return self._nothing
        values, status, newest_us = self._values.copy(), self._status.copy(), self._unknown.copy()
        state = self._opener.open(data, at_us)
        until_us = state.next_known_us
        for window in self._windows:
            edge = window.edge(at_us)
            until_us = min(until_us, window.until_us(edge))
            cut = self._cutter.cut(window, state, edge)
            if cut is None:
                continue
            for aggregate in window.aggregates:
                if cut.totals[aggregate.n]:
                    values[aggregate.place] = value_of(aggregate, cut, state)
                    status[aggregate.place] = _PRESENT
                    newest_us[aggregate.place] = state.newest[aggregate.n]
        for newest, event_us, value in self._newest.read(state):
            if event_us == NEVER:
                continue
            stale_us = newest.until_us(event_us)
            if at_us < stale_us:
                values[newest.place], status[newest.place], newest_us[newest.place] = value, _PRESENT, event_us
                until_us = min(until_us, stale_us)
            elif not newest.tile_us:
                status[newest.place], newest_us[newest.place] = _STALE, event_us
        return _reading(data, values, status, newest_us, since_us=at_us, until_us=until_us)


def _reading(
    data: bytes | None,
    values: list[float],
    status: list[int],
    newest_us: list[float],
    *,
    since_us: int,
    until_us: int,
) -> Reading:
    return Reading(
        data=data,
        since_us=since_us,
        until_us=until_us,
        values=float32(values),
        status=np.array(status, np.uint8),
        newest_us=np.array(newest_us, np.float64),
    )
