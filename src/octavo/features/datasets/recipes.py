"""What a dataset is made by, as plain data that is kept with it: which rows it has, which values, which inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from octavo.definitions.features import FeatureView
from octavo.definitions.models import Model
from octavo.errors import InvalidRequest
from octavo.features.events.payloads import EVENT_ID, table_of
from octavo.features.inputs import ModelInputs, inputs_of
from octavo.features.offline.historical import ViewQuery, query_of
from octavo.features.offline.sql import quoted

DECIDED, KNOWN, LABEL = "_decided_at", "_known_at", "_label"
"""The columns of a model's dataset that are no input: when a case was decided, when its label was known, and that."""

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineQuery:
    """Which rows a dataset has: those that somebody gave, or those that a query finds.

    Attributes
    ----------
    at : str
        The column with the moment of each row.
    sql : str
        One SELECT, its rows in their order; empty where the rows were given.
    tables : mapping of the name used in `sql` to a table
    parameters : mapping of the name used in `sql` to a moment
    frame : str
        The name used in `sql` of the rows that were given; empty where it reads none.
    """

    at: str
    sql: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, datetime] = field(default_factory=dict)
    frame: str = ""

    @property
    def takes_rows(self) -> bool:
        """Whether somebody must give rows: the spine itself, or the entities of a grid."""
        return not self.sql or bool(self.frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a dataset is made.

    Attributes
    ----------
    what : str
        In a few words, for people.
    inputs : ModelInputs or None
        For a model's dataset, what becomes of the rows and values at last.
    """

    what: str
    spine: SpineQuery
    views: tuple[ViewQuery, ...]
    inputs: ModelInputs | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that it reads."""
        return tuple(dict.fromkeys([*self.spine.tables.values(), *(view.table for view in self.views)]))


def recipe_of_labels(model: Model, *, as_of: datetime) -> Recipe:
    """The dataset that a model may learn from as of a moment.

    A row of the label's source is a labelled case if its label is not null and became known before `as_of`, and not
    before the decision itself. Rows are ordered by decision time and event id.
    """
    return Recipe(
        what=f"labels of {model.name}",
        spine=_labelled_cases(model, as_of=as_of),
        views=tuple(query_of(view) for view in model.views),
        inputs=inputs_of(model),
    )


def recipe_of_rows(views: Sequence[FeatureView], *, at: str) -> Recipe:
    """Values of views for rows that somebody gives, ordered by their moment and then by all else."""
    return Recipe(
        what=f"rows with {_names(views)}", spine=SpineQuery(at=at), views=tuple(query_of(view) for view in views)
    )


def recipe_of_grid(
    views: Sequence[FeatureView], *, every_s: int, since: datetime, until: datetime, given: bool = False
) -> Recipe:
    """Values of views for entities at regular moments.

    Parameters
    ----------
    views : sequence of FeatureView
        Of the same entities.
    since, until : datetime
        The first moment, and the one before which the last lies. An entity has rows from after its first event on.
    given : bool
        Whether somebody gives the entities, by their key; else it is all that have an event.

    Raises
    ------
    InvalidRequest
        If the views are not of one entity, or there is no moment.
    """
    if len({view.entity_keys for view in views}) != 1:
        raise InvalidRequest(f"a grid is of the same entities; {_names(views)} are not of the same", field="views")
    if every_s <= 0 or since >= until:
        raise InvalidRequest("a grid needs a first moment before its last, and a step", field="until")
    return Recipe(
        what=f"grid of {_names(views)}",
        spine=_grid(views, every_s=every_s, since=since, until=until, given=given),
        views=tuple(query_of(view) for view in views),
    )


def _labelled_cases(model: Model, *, as_of: datetime) -> SpineQuery:
    """Request fields, entity keys and what gates look at by name; the decision's time, the label and its time."""
    label, source = model.label, model.label.source
    decided, known, truth = quoted(label.at), quoted(source.available_at), quoted(label.column)
    fields = dict.fromkeys(
        [
            *(f.name for f in model.request_fields),
            *(key for view in model.views for key in view.entity_keys),
            *model.watched_names,
        ]
    )
    selected = [quoted(name) for name in fields]
    selected += [f"{decided} AS {DECIDED}", f"{known} AS {KNOWN}", f"{truth}::DOUBLE AS {LABEL}"]
    conditions = [f"{known} < $as_of", f"{decided} <= {known}", f"{truth} IS NOT NULL"]
    parameters = {"as_of": as_of}
    if model.history_s is not None:
        conditions.append(f"{decided} >= $since")
        parameters["since"] = as_of - timedelta(seconds=model.history_s)
    sql = f"SELECT {', '.join(selected)} FROM events WHERE {' AND '.join(conditions)} ORDER BY {decided}, {EVENT_ID}"
    return SpineQuery(at=DECIDED, sql=sql, tables={"events": table_of(source.name)}, parameters=parameters)


def _grid(views: Sequence[FeatureView], *, every_s: int, since: datetime, until: datetime, given: bool) -> SpineQuery:
    named = views[0].entity_keys
    keys = ", ".join(f"key_{n}" for n in range(len(named)))
    sources = {f"events_{place}": view for place, view in enumerate(views)}
    appearances = " UNION ALL ".join(_appearances(view, name) for name, view in sources.items())
    present = " AND ".join(f"key_{n} IS NOT NULL" for n in range(len(named)))
    chosen = f" AND ({keys}) IN (SELECT {', '.join(map(quoted, named))} FROM entities)" if given else ""
    selected = ", ".join(f"key_{n} AS {quoted(name)}" for n, name in enumerate(named))
    sql = (
        f"WITH born AS (SELECT {keys}, min(known) AS known FROM ({appearances})"
        f"\n  WHERE {present}{chosen} GROUP BY {keys}),"
        f"\nmoments AS (SELECT unnest(range(epoch_us($since), epoch_us($until), {every_s * _SECOND_US})) AS t)"
        f'\nSELECT {selected}, make_timestamptz(t) AS "at" FROM born JOIN moments ON known < t ORDER BY t, {keys}'
    )
    return SpineQuery(
        at="at",
        sql=sql,
        tables={name: table_of(view.source.name) for name, view in sources.items()},
        parameters={"since": since, "until": until},
        frame="entities" if given else "",
    )


def _appearances(view: FeatureView, table: str) -> str:
    """When each entity of a view was heard of."""
    keys = ", ".join(f"{quoted(key)} AS key_{n}" for n, key in enumerate(view.keys))
    return f"SELECT {keys}, epoch_us({quoted(view.source.available_at)}) AS known FROM {table}"


def _names(views: Sequence[FeatureView]) -> str:
    return ", ".join(view.name for view in views)
