"""Building a feature view's online states from the table of its source's events.

The states are written beside the live ones and take their place in one step (see `octavo.features.online.keys`). The
pump then brings them up to date with the stream, from where the table ended; it may run all the while. A killed build
goes on in the midst of its view (see `octavo.features.online.builds`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from octavo.clock import Clock
from octavo.definitions.features import FeatureView
from octavo.definitions.project import Project
from octavo.features.events.payloads import topic_of
from octavo.features.online.keys import decode_generation, generation_of, pointer_key
from octavo.features.online.seen import renew_seen
from octavo.stores.partitions import partition_name
from octavo.stores.ports import OnlineStore, Stores


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialized:
    """What a materialization did.

    Attributes
    ----------
    entities : int
        States written now; 0 if the view was up to date with its definition.
    applied : int
        How many payloads of the stream's partitions are in them, as far as offsets tell.
    """

    view: str
    entities: int
    applied: int


def pending_views(online: OnlineStore, project: Project) -> tuple[FeatureView, ...]:
    """Views without online states, or with states of another definition than the project's."""
    views = tuple(project.views.values())
    pointers = online.read([pointer_key(view.name) for view in views])
    return tuple(view for view, pointer in zip(views, pointers, strict=True) if not _is_current(pointer, view))


def materialize(
    stores: Stores,
    views: Sequence[FeatureView],
    *,
    clock: Clock,
    force: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Materialized, ...]:
    """Build the online states of views from their sources' tables.

    Idempotent. One that is interrupted leaves the states of finished views new and of the others as they were; run
    again, it goes on with these, and within the one that it was building.

    Parameters
    ----------
    stores : Stores
        The online store must be open for writing.
    force : bool
        Whether to build anew also the views whose states are those of their definition.
    progress : callable
        ``progress(fraction, message)``.

    Raises
    ------
    Conflict
        If the online store is open for reading only.
    """
    done = []
    for place, view in enumerate(views):
        if progress:
            progress(place / len(views), f"materializing {view.name}")
        pointer = stores.online.read([pointer_key(view.name)])[0]
        if pointer is not None and not force and _is_current(pointer, view):
            done.append(Materialized(view=view.name, entities=0, applied=_applied(stores, pointer)))
        else:
            done.append(_build(stores, view, clock=clock, progress=_within(progress, place, len(views))))
    if progress:
        progress(1.0, f"materialized {len(views)} feature views")
    return tuple(done)


def _within(
    progress: Callable[[float, str], None] | None, place: int, count: int
) -> Callable[[float, str], None] | None:
    """Progress of one view as that of all of them."""
    if progress is None:
        return None
    return lambda fraction, message: progress((place + fraction) / count, message)


def _applied(stores: Stores, pointer: bytes) -> int:
    generation = decode_generation(pointer)
    count = len(stores.stream.partitions(topic_of(generation.source)))
    names = (partition_name(generation.applied_mark, number) for number in range(count))
    return sum(max(stores.online.mark(name), 0) for name in names)


def _is_current(pointer: bytes | None, view: FeatureView) -> bool:
    """Whether a view's live generation is of its present definition."""
    if pointer is None:
        return False
    live = decode_generation(pointer)
    return replace(generation_of(view), id=live.id) == live


def _build(
    stores: Stores, view: FeatureView, *, clock: Clock, progress: Callable[[float, str], None] | None
) -> Materialized:
    renew_seen(stores, view.source.name)
    from octavo.features.online.builds import begin_build, make_live, resume_build, write_states  # compiles loops

    build = resume_build(stores, view, now_us=clock.now_us()) or begin_build(stores, view, now_us=clock.now_us())
    entities = write_states(stores, view, build, progress=progress)
    make_live(stores, build)
    return Materialized(view=view.name, entities=entities, applied=sum(build.ends))
