"""The features of a request, looked up without making other requests wait, and never a reason not to answer."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from octavo.definitions.plans import LookupPlan, PlannedView
from octavo.errors import OctavoError, Unavailable
from octavo.features.online.lookup import Lookup
from octavo.features.online.reader import ViewsReader
from octavo.features.values import OnlineValues
from octavo.stores.ports import LoopReader

log = logging.getLogger(__name__)


class LookedUp(NamedTuple):
    """Features of some rows.

    Attributes
    ----------
    degraded : bool
        Whether the online store could not be read, or lacks a view, so that values stand in.
    unread : tuple of str
        The inputs that are of such views; all of them if the store could not be read.
    """

    values: OnlineValues
    degraded: bool
    unread: tuple[str, ...] = ()


class FeatureLookup:
    """Looks up the features of one model's views.

    Parameters
    ----------
    store : LoopReader
    views : tuple of PlannedView
        From the model's lookup plan; columns of the answer are their features, in order.
    room : int
        How many columns follow these, for others to fill: of NaN, and marked as present.
    """

    def __init__(self, store: LoopReader, views: tuple[PlannedView, ...], *, room: int = 0) -> None:
        self._store = store
        self._views = ViewsReader(views, room=room)
        self._inputs = tuple(name for view in views for name in view.inputs)

    @classmethod
    def of_plan(cls, store: LoopReader, plan: LookupPlan) -> Self:
        """The lookup of a plan's views, with room for its other inputs."""
        return cls(store, plan.views, room=len(plan.inputs) - sum(len(view.features) for view in plan.views))

    async def read(self, keys: Mapping[str, Sequence[object]], *, n_rows: int, at_us: int) -> LookedUp:
        """The values as known at a moment: the present, or a few seconds before at most.

        Where the store cannot be read, declared defaults or NaN stand in, and their status says so.

        Parameters
        ----------
        keys : mapping of name to sequence
            The entity keys of all rows, by column; a row without one is about an entity that no event was about. All
            features of a view that was never materialized are missing.
        at_us : int
            Microseconds since 1970; only events known before it count.
        """
        views = self._views
        if not views.views:
            return LookedUp(views.unread(n_rows), False)
        try:
            while True:
                wanted = views.wanted(keys, n_rows=n_rows)
                values = views.values(wanted, await self._store.read(wanted.keys), at_us=at_us)
                if values is not None:
                    lookup = wanted.lookup
                    return (
                        LookedUp(values, False) if lookup.is_complete else LookedUp(values, True, self._absent(lookup))
                    )
        except Unavailable:  # counted, and told once, by who guards the store
            return self._unread(n_rows)
        except OctavoError as error:
            names = [view.name for view in views.views]
            log.warning("features could not be looked up", extra={"views": names, "reason": error.message})
            return self._unread(n_rows)

    def _unread(self, n_rows: int) -> LookedUp:
        return LookedUp(self._views.unread(n_rows), True, self._inputs)

    def _absent(self, lookup: Lookup) -> tuple[str, ...]:
        """The inputs of views that the store lacks."""
        pairs = zip(self._views.views, lookup.pointers, strict=True)
        return tuple(name for view, pointer in pairs if pointer is None for name in view.inputs)
