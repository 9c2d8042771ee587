"""Feature views, on-demand features and request fields."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from octavo.definitions.aggregates import Aggregate, Operation, tile_s
from octavo.definitions.conditions import check_condition
from octavo.definitions.measures import parse_measure
from octavo.definitions.sources import Entity, Source
from octavo.definitions.types import DType, check_name, seconds
from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One value of a feature view: an aggregate over one window, or a latest value.

    Attributes
    ----------
    name : str
        Unique in its view, such as ``dep_delay_mean_24h``; to a model it is ``view__name``.
    window_s, tile_s : int or None
        Seconds; None for a latest value.
    ttl_s : int or None
        Seconds; None for a window.
    condition, where : str or None
        What is asked of events: by a rate, and of those that are not passed over.
    """

    name: str
    operation: Operation
    column: str | None
    window_s: int | None = None
    tile_s: int | None = None
    q: float | None = None
    ttl_s: int | None = None
    condition: str | None = None
    where: str | None = None

    @property
    def measure(self) -> str | None:
        """What it takes of each event, as `octavo.definitions.measures` writes it; None for a count of all events."""
        number = f"hash({self.column})" if self.operation is Operation.DISTINCT else self.condition or self.column
        if self.where is None:
            return number
        return f"{number or 1} if {self.where} else None"


@dataclass(frozen=True, slots=True, init=False)
class FeatureView:
    """Features of one entity from one source.

    Parameters
    ----------
    name : str
    entity : Entity
    source : Source
    features : sequence of Aggregate
        Made by ``oc.mean``, ``oc.count``, ``oc.latest`` and their like.
    key : str or None
        The source's column that holds the entity's key; the entity's own key column unless given.
    description, owner : str
    """

    name: str
    entity: Entity
    source: Source
    features: tuple[Feature, ...]
    key: str
    description: str
    owner: str

    def __init__(
        self,
        name: str,
        *,
        entity: Entity,
        source: Source,
        features: Sequence[Aggregate],
        key: str | None = None,
        description: str = "",
        owner: str = "",
    ) -> None:
        check_name(name, what="feature view")
        put = object.__setattr__
        put(self, "name", name)
        put(self, "entity", entity)
        put(self, "source", source)
        put(self, "features", tuple(f for aggregate in features for f in _expand(aggregate)))
        put(self, "key", key or entity.key)
        put(self, "description", description)
        put(self, "owner", owner)
        if source.dtype(self.key, role="key") is not entity.dtype:
            raise InvalidDefinition(
                f"feature view {name!r}: key {self.key!r} is not the type of entity {entity.name!r}"
            )
        names = [f.name for f in self.features]
        if not names or len(set(names)) < len(names):
            raise InvalidDefinition(f"feature view {name!r} declares no feature, or one twice: {', '.join(names)}")
        for aggregate in features:
            _check(aggregate, source, what=f"feature view {name!r}")


def _check(aggregate: Aggregate, source: Source, *, what: str) -> None:
    column, measure = aggregate.column, aggregate.measure
    dtype = source.dtype(column, role=f"{aggregate.operation}") if column else None
    if aggregate.operation is Operation.DISTINCT and dtype in (DType.FLOAT64, DType.TIMESTAMP):
        raise InvalidDefinition(
            f"{what}: distinct of {column!r}, which is {dtype}, counts nearly every event; use count"
        )
    if dtype and not dtype.is_numeric and not aggregate.operation.counts:
        raise InvalidDefinition(f"{what}: {aggregate.operation} of {column!r} needs a numeric column")
    for condition in (measure.condition, measure.where):
        if condition is not None:
            check_condition(condition, source, what=what)
    parse_measure(str(measure))


def _expand(aggregate: Aggregate) -> list[Feature]:
    measure = aggregate.measure
    feature = Feature(
        name=aggregate.name or f"{aggregate.column or 'events'}_{aggregate.operation}",
        operation=aggregate.operation,
        column=aggregate.column,
        q=aggregate.q,
        condition=None if measure.condition is None else str(measure.condition),
        where=None if measure.where is None else str(measure.where),
    )
    if aggregate.operation is Operation.LATEST:
        return [replace(feature, ttl_s=seconds(aggregate.ttl or "", what="ttl"))]
    stem = feature.name
    if aggregate.operation is Operation.QUANTILE and aggregate.name is None:
        stem = f"{aggregate.column}_p{aggregate.q:g}".replace("p0.", "p").replace(".", "_")
    return [
        replace(feature, name=f"{stem}_{window}", window_s=seconds(window), tile_s=tile_s(seconds(window)))
        for window in aggregate.over
    ]


@dataclass(frozen=True, slots=True)
class RequestField:
    """A value that the caller sends with a prediction. Made by `request`."""

    name: str
    dtype: DType
    required: bool = True

    def __post_init__(self) -> None:
        check_name(self.name, what="request field")


def request(name: str, dtype: DType, *, required: bool = True) -> RequestField:
    """Declare a request field; a numeric one listed in a model's features is also an input of the model."""
    return RequestField(name, dtype, required)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemand:
    """A feature computed from request fields by the user's own function, the same offline and per request.

    Attributes
    ----------
    inputs : tuple of str
        Request fields, by the names of the function's parameters.
    function : callable
        Takes one array per input, shape (n_rows,): float64, int64, bool, datetime64[us] (UTC) or object (strings);
        returns an array of shape (n_rows,) that becomes float64. Must not look at anything else.
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Any] = field(repr=False, compare=False)
    source_code: str = field(repr=False, default="")
    description: str = ""


def on_demand(function: Callable[..., Any]) -> OnDemand:
    """Declare a function as an on-demand feature; its parameters name the request fields that it takes."""
    parameters = tuple(inspect.signature(function).parameters)
    if not parameters:
        raise InvalidDefinition(f"on-demand feature {function.__name__!r} takes no request field")
    return OnDemand(
        name=check_name(function.__name__, what="on-demand feature"),
        inputs=parameters,
        function=function,
        source_code=inspect.getsource(function),
        description=inspect.getdoc(function) or "",
    )
