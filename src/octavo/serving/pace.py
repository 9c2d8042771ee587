"""How many rows a model is given at once, so that a large request holds nobody up for long."""

from weakref import WeakKeyDictionary

from octavo.serving.models import LoadedModel

_HOLD_NS = 2_000_000
_FIRST, FEWEST, _MOST = 256, 64, 4096


class Pace:
    """What rows have cost, model by model: one takes a quarter of a microsecond for each, another fifty."""

    def __init__(self) -> None:
        self._at_once: WeakKeyDictionary[LoadedModel, int] = WeakKeyDictionary()

    def rows_at_once(self, model: LoadedModel) -> int:
        """How many rows keep the loop for about two milliseconds; 256 while nothing is known of the model."""
        return self._at_once.get(model, _FIRST)

    def is_at_once(self, model: LoadedModel, n_rows: int) -> bool:
        """Whether a model is given so many rows at once."""
        return n_rows <= FEWEST or n_rows <= self._at_once.get(model, _FIRST)

    def took(self, model: LoadedModel, duration_ns: int, *, n_rows: int) -> None:
        """Learn from what some rows have taken; few of them tell nothing."""
        if n_rows < FEWEST:
            return
        fits = max(FEWEST, min(_MOST, _HOLD_NS * n_rows // max(duration_ns, 1)))
        known = self._at_once.get(model, fits)
        self._at_once[model] = (3 * known + fits) // 4
