"""What a project declares of sources and feature views, as people and programs list it."""

from dataclasses import dataclass

from octavo.definitions.features import Feature
from octavo.definitions.project import Project
from octavo.definitions.sources import Source
from octavo.features.declared import models_of
from octavo.features.events.payloads import table_of
from octavo.stores.ports import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSummary:
    """A source and what reads it.

    Attributes
    ----------
    columns : dict of name to type
    table_version : int
        Rises with every batch of events that reaches its table; -1 before the first.
    views, labels_of : tuple of str
        The feature views over it, and the models that take their label from it.
    """

    name: str
    event_time: str
    available_at: str
    id: tuple[str, ...]
    columns: dict[str, str]
    description: str
    owner: str
    table: str
    table_version: int
    views: tuple[str, ...]
    labels_of: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSummary:
    """A feature view and the models that take it.

    Attributes
    ----------
    entities, keys : tuple of str
        What it is about, and the key columns of that in requests; `source_keys` are the source's.
    online_bytes : float or None
        What a value takes in the online store; None if it was not measured, or there is none yet.
    """

    name: str
    entities: tuple[str, ...]
    keys: tuple[str, ...]
    source: str
    source_keys: tuple[str, ...]
    features: tuple[Feature, ...]
    description: str
    owner: str
    models: tuple[str, ...]
    online_bytes: float | None = None


def list_sources(project: Project, tables: Tables) -> tuple[SourceSummary, ...]:
    """All sources of a project, by name."""
    return tuple(_source(source, project, tables) for _, source in sorted(project.sources.items()))


def list_views(project: Project) -> tuple[ViewSummary, ...]:
    """All feature views of a project, by name."""
    return tuple(show_view(project, name) for name in sorted(project.views))


def show_view(project: Project, name: str, *, online_bytes: float | None = None) -> ViewSummary:
    """One feature view of a project.

    Raises
    ------
    NotFound
        If there is none of that name.
    """
    view = project.view(name)
    return ViewSummary(
        name=view.name,
        entities=tuple(entity.name for entity in view.entities),
        keys=view.entity_keys,
        source=view.source.name,
        source_keys=view.keys,
        features=view.features,
        description=view.description,
        owner=view.owner,
        models=models_of(project, view.name),
        online_bytes=online_bytes,
    )


def _source(source: Source, project: Project, tables: Tables) -> SourceSummary:
    return SourceSummary(
        name=source.name,
        event_time=source.event_time,
        available_at=source.available_at,
        id=source.id,
        columns={field.name: field.type_name for field in source.schema},
        description=source.description,
        owner=source.owner,
        table=table_of(source.name),
        table_version=tables.version(table_of(source.name)),
        views=tuple(sorted(view.name for view in project.views.values() if view.source is source)),
        labels_of=tuple(sorted(model.name for model in project.models.values() if model.label.source is source)),
    )
