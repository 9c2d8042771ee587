"""How far the events of a source have come: into the online states, and into its table."""

from dataclasses import dataclass

from octavo.definitions.project import Project
from octavo.features.events.payloads import topic_of
from octavo.features.online.keys import decode_generation, pointer_key, seen_mark
from octavo.features.online.seen import shipped_ends
from octavo.stores.partitions import ends, partition_name
from octavo.stores.ports import OnlineStore, Stores


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How far a source is, in payloads of all partitions.

    Attributes
    ----------
    published : int
        Payloads in the stream.
    applied : int
        Payloads whose events are in the online states of all views.
    shipped : int
        Payloads whose events are in the table.
    """

    published: int
    applied: int
    shipped: int

    @property
    def unapplied(self) -> int:
        return self.published - self.applied

    @property
    def unshipped(self) -> int:
        return self.published - self.shipped


def backlog(stores: Stores, project: Project, source: str) -> Backlog:
    """How far a source is; may be asked by any process."""
    published = ends(stores.stream, topic_of(source))
    return Backlog(
        published=sum(published),
        applied=sum(applied_ends(stores.online, project, source, partitions=len(published))),
        shipped=sum(shipped_ends(stores.tables, source, partitions=len(published))),
    )


def applied_ends(online: OnlineStore, project: Project, source: str, *, partitions: int) -> tuple[int, ...]:
    """Up to which offset of each partition events are in the online states of all views of a source; quick to ask."""
    views = [view for view in project.views.values() if view.source.name == source]
    pointers = online.read([pointer_key(view.name) for view in views])
    live = [decode_generation(pointer) for pointer in pointers if pointer is not None]
    names = [seen_mark(source), *(generation.applied_mark for generation in live if generation.source == source)]
    return tuple(
        max(min(online.mark(partition_name(name, number)) for name in names), 0) for number in range(partitions)
    )
