"""What can be done with events and features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from octavo.features.catalog import SourceSummary, ViewSummary, list_sources, list_views, show_view
from octavo.features.ingest import Accepted, ingest_rows
from octavo.features.materialize import Materialized, materialize
from octavo.operations import Context, Operations

operations = Operations()


@dataclass(frozen=True, kw_only=True)
class IngestEvents:
    """Events of one source.

    Attributes
    ----------
    rows : tuple of mapping
        One value per column; times are RFC 3339 strings with an offset; an absent column is null.
    """

    source: str
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class MaterializeFeatures:
    """Which feature views to build.

    Attributes
    ----------
    views : tuple of str
        All unless given.
    force : bool
        Whether to build also those whose states are those of their definition.
    """

    views: tuple[str, ...] = ()
    force: bool = False


# Events are their own durable record, so each is not audited too; and nothing here needs a metadata transaction.
@operations.operation("events.ingest", request=IngestEvents, permission="events:write", long=True)
def ingest_events(request: IngestEvents, context: Context) -> Accepted:
    """Accept events of a source, all or none."""
    source = context.project.source(request.source)
    return ingest_rows(request.rows, source, stream=context.stores.stream, clock=context.clock)


@operations.operation(
    "features.materialize", request=MaterializeFeatures, permission="features:write", changes=True, long=True
)
def materialize_features(request: MaterializeFeatures, context: Context) -> tuple[Materialized, ...]:
    """Build the online states of feature views from the tables of their events."""
    names = request.views or tuple(context.project.views)
    views = [context.project.view(name) for name in names]
    return materialize(context.stores, views, clock=context.clock, force=request.force, progress=context.progress)


@dataclass(frozen=True, kw_only=True)
class ListSources:
    """All sources."""


@dataclass(frozen=True, kw_only=True)
class ListFeatures:
    """All feature views."""


@dataclass(frozen=True, kw_only=True)
class ShowFeatures:
    """One feature view."""

    view: str


@operations.operation("sources.list", request=ListSources, permission="features:read", long=True)
def sources_list(request: ListSources, context: Context) -> tuple[SourceSummary, ...]:
    """List the sources of events and what reads them."""
    return list_sources(context.project, context.stores.tables)


@operations.operation("features.list", request=ListFeatures, permission="features:read", long=True)
def features_list(request: ListFeatures, context: Context) -> tuple[ViewSummary, ...]:
    """List the feature views and the models that take them."""
    return list_views(context.project)


@operations.operation("features.show", request=ShowFeatures, permission="features:read", long=True)
def features_show(request: ShowFeatures, context: Context) -> ViewSummary:
    """Show a feature view and the models that take it."""
    return show_view(context.project, request.view)
