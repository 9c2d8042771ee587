"""What can be done with events and features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from octavo.features.catalog import SourceSummary, ViewSummary, list_sources, list_views, show_view
from octavo.features.declared import DeclaredFeature, find_declared, list_declared
from octavo.features.events.bodies import BodyKind, read_events
from octavo.features.events.derived import sendable
from octavo.features.events.ingest import Accepted, BadRows, ingest
from octavo.features.events.letter_operations import operations as letter_operations
from octavo.features.events.sent import SentRows
from octavo.features.online.footprint import bytes_per_value
from octavo.features.online.materialize import Materialized, materialize
from octavo.operations import Context, Operations

operations = Operations()
operations.include(letter_operations)


@dataclass(frozen=True, kw_only=True)
class IngestEvents:
    """Events of one source.

    Attributes
    ----------
    rows : tuple of mapping
        One value per column; times are RFC 3339 strings with an offset; an absent column is null.
    bad : BadRows
        Whether a wrong row refuses all, or is kept as a dead letter.
    """

    source: str
    rows: tuple[Mapping[str, Any], ...]
    bad: BadRows = BadRows.REFUSE


@dataclass(frozen=True, kw_only=True)
class LoadEvents:
    """Events of one source as bytes.

    Attributes
    ----------
    body : bytes
        In JSON that calls this operation: base64.
    kind : BodyKind
        How they are written.
    bad : BadRows
        Whether a wrong row refuses all, or is kept as a dead letter.
    """

    source: str
    body: bytes
    kind: BodyKind = BodyKind.ARROW
    bad: BadRows = BadRows.REFUSE


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
    """Accept events of a source, all or none; or keep the wrong ones as dead letters."""
    source = sendable(context.project, request.source)
    sent = SentRows(rows=request.rows)
    return ingest(sent, source, stream=context.stores.stream, clock=context.clock, bad=request.bad)


@operations.operation("events.load", request=LoadEvents, permission="events:write", long=True)
def load_events(request: LoadEvents, context: Context) -> Accepted:
    """Accept events of a source from an Arrow IPC stream, a Parquet file or JSON."""
    source = sendable(context.project, request.source)
    sent = read_events(request.body, request.kind)
    return ingest(sent, source, stream=context.stores.stream, clock=context.clock, bad=request.bad)


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
    view = context.project.view(request.view)
    return show_view(context.project, view.name, online_bytes=bytes_per_value(context.stores, view))


@dataclass(frozen=True, kw_only=True)
class ListDeclaredFeatures:
    """Every value that models may take."""


@dataclass(frozen=True, kw_only=True)
class DescribeFeature:
    """One value, by what models call it."""

    name: str


@operations.operation("features.declared", request=ListDeclaredFeatures, permission="features:read", long=True)
def features_declared(request: ListDeclaredFeatures, context: Context) -> tuple[DeclaredFeature, ...]:
    """List every value that models may take, with all that is said of it."""
    return list_declared(context.project)


@operations.operation("features.describe", request=DescribeFeature, permission="features:read", long=True)
def features_describe(request: DescribeFeature, context: Context) -> DeclaredFeature:
    """Describe one value that models may take."""
    return find_declared(context.project, request.name)
