"""Feature views, on-demand features and request fields."""

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Unpack, overload

from octavo.definitions.about import About, Expectation, check_about
from octavo.definitions.aggregates import Aggregate, Operation, tile_s
from octavo.definitions.code import code_of
from octavo.definitions.conditions import check_condition
from octavo.definitions.lists import list_in
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
    nth : int or None
        Which of the newest values, from 1, of `last_k`.
    half_life_s : int or None
        Seconds; of a value that decays.
    index : int or None
        Which number of a vector, from 0.
    condition, where : str or None
        What is asked of events: by a rate, and of those that are not passed over.
    description, owner, default, expect, deprecated
        See `octavo.definitions.about.About`.
    """

    name: str
    operation: Operation
    column: str | None
    window_s: int | None = None
    tile_s: int | None = None
    q: float | None = None
    ttl_s: int | None = None
    nth: int | None = None
    half_life_s: int | None = None
    index: int | None = None
    condition: str | None = None
    where: str | None = None
    description: str = ""
    owner: str = ""
    default: float | None = None
    expect: Expectation | None = None
    deprecated: str = ""

    @property
    def measure(self) -> str | None:
        """What it takes of each event, as `octavo.definitions.measures` writes it; None for a count of all events."""
        number = f"hash({self.column})" if self.operation is Operation.DISTINCT else self.condition or self.column
        if self.where is None:
            return number
        return f"{number or 1} if {self.where} else None"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that it looks at."""
        return parse_measure(self.measure).columns if self.measure else ()


@dataclass(frozen=True, slots=True, init=False)
class FeatureView:
    """Features of an entity, or of each combination of several, from one source.

    Parameters
    ----------
    name : str
    entity : Entity or tuple of Entity
        Several for features of each combination of them, such as of each customer at each merchant.
    source : Source
    features : sequence of Aggregate
        Made by ``oc.mean``, ``oc.count``, ``oc.latest`` and their like.
    key : str, tuple of str or None
        The source's columns that hold the entities' keys, in their order; the entities' own key columns unless given.
        An event in which one of them is null is about no entity.
    description, owner : str
    """

    name: str
    entities: tuple[Entity, ...]
    source: Source
    features: tuple[Feature, ...]
    keys: tuple[str, ...]
    description: str
    owner: str

    def __init__(
        self,
        name: str,
        *,
        entity: Entity | tuple[Entity, ...],
        source: Source,
        features: Sequence[Aggregate],
        key: str | tuple[str, ...] | None = None,
        description: str = "",
        owner: str = "",
    ) -> None:
        check_name(name, what="feature view")
        put = object.__setattr__
        put(self, "name", name)
        put(self, "entities", entity if isinstance(entity, tuple) else (entity,))
        put(self, "source", source)
        put(self, "features", tuple(f for aggregate in features for f in _expand(aggregate, source)))
        put(self, "keys", (key,) if isinstance(key, str) else key or self.entity_keys)
        put(self, "description", description)
        put(self, "owner", owner)
        _check_keys(self)
        names = [f.name for f in self.features]
        if not names or len(set(names)) < len(names):
            raise InvalidDefinition(f"feature view {name!r} declares no feature, or one twice: {', '.join(names)}")
        for aggregate in features:
            _check(aggregate, source, what=f"feature view {name!r}")

    @property
    def entity_keys(self) -> tuple[str, ...]:
        """The columns that hold the entities' keys in a request or a spine, in the order of `entities`."""
        return tuple(entity.key for entity in self.entities)

    def with_features(self, features: tuple[Feature, ...]) -> "FeatureView":
        """The view with other features, such as those that travel in a bundle."""
        view = copy(self)
        object.__setattr__(view, "features", features)
        return view


def _check_keys(view: FeatureView) -> None:
    what = f"feature view {view.name!r}"
    if not view.entities or len(set(view.entity_keys)) < len(view.entities):
        raise InvalidDefinition(f"{what} is of no entity, or has two by one key: {', '.join(view.entity_keys)}")
    if len(view.keys) != len(view.entities) or len(set(view.keys)) < len(view.keys):
        raise InvalidDefinition(
            f"{what}: key names {', '.join(view.keys)}; give one column of the source for each entity, in order: "
            f"{', '.join(entity.name for entity in view.entities)}"
        )
    for entity, key in zip(view.entities, view.keys, strict=True):
        if view.source.dtype(key, role="key") is not entity.dtype:
            raise InvalidDefinition(f"{what}: key {key!r} is not the type of entity {entity.name!r}")


def _check(aggregate: Aggregate, source: Source, *, what: str) -> None:
    column, measure = aggregate.column, aggregate.measure
    dtype = source.dtype(column, role=f"{aggregate.operation}") if column else None
    if dtype is DType.LIST and aggregate.operation is not Operation.COUNT:
        raise InvalidDefinition(
            f"{what}: {aggregate.operation} of the list {column!r}; take len({column}), ask whether a value is in it, "
            "or make an event of each value by an oc.SQLSource that unnests it"
        )
    if aggregate.operation is Operation.DISTINCT and dtype in (DType.FLOAT64, DType.TIMESTAMP, DType.VECTOR):
        raise InvalidDefinition(
            f"{what}: distinct of {column!r}, which is {dtype}, counts nearly every event; use count"
        )
    if dtype is DType.VECTOR and aggregate.operation not in _OF_VECTORS:
        raise InvalidDefinition(f"{what}: {aggregate.operation} of the vector {column!r}; use latest, last or count")
    if dtype and not dtype.is_numeric and dtype is not DType.VECTOR and not aggregate.operation.counts:
        raise InvalidDefinition(f"{what}: {aggregate.operation} of {column!r} needs a numeric column")
    for condition in (measure.condition, measure.where):
        if condition is not None:
            check_condition(condition, source, what=what)
    parse_measure(str(measure))


_OF_VECTORS = (Operation.LATEST, Operation.LAST, Operation.COUNT)


def _expand(aggregate: Aggregate, source: Source) -> list[Feature]:
    """The features of an aggregate: of each window, and then each number of a vector."""
    features = _over_windows(aggregate)
    length = source.field(aggregate.column, role=f"{aggregate.operation}").length if aggregate.column else 0
    if not length or aggregate.operation is Operation.COUNT:
        return features
    return [replace(f, name=f"{f.name}_{index}", index=index) for f in features for index in range(length)]


def _over_windows(aggregate: Aggregate) -> list[Feature]:
    measure = aggregate.measure
    feature = Feature(
        name=aggregate.name or _stem(aggregate),
        operation=aggregate.operation,
        column=aggregate.column,
        q=aggregate.q,
        condition=None if measure.condition is None else str(measure.condition),
        where=None if measure.where is None else str(measure.where),
        **aggregate.about,
    )
    if aggregate.operation is Operation.LATEST:
        return [replace(feature, ttl_s=seconds(aggregate.ttl or "", what="ttl"))]
    if aggregate.half_life is not None:
        feature = replace(feature, half_life_s=seconds(aggregate.half_life))
    ranked = [replace(feature, name=f"{feature.name}{n}", nth=n) for n in range(1, (aggregate.k or 0) + 1)] or [feature]
    return [
        replace(f, name=f"{f.name}_{window}", window_s=seconds(window), tile_s=tile_s(seconds(window)))
        for window in aggregate.over
        for f in ranked
    ]


def _stem(aggregate: Aggregate) -> str:
    """What the features are called before their windows, unless the user says."""
    column, operation = aggregate.column or "events", aggregate.operation
    if counted := list_in(column):
        column = f"{counted}_len"
    if operation is Operation.QUANTILE:
        return f"{column}_p{aggregate.q:g}".replace("p0.", "p").replace(".", "_")
    if operation is Operation.LAST_K:
        return f"{column}_last"
    return f"{column}_{operation}_{aggregate.half_life}" if operation.decays else f"{column}_{operation}"


@dataclass(frozen=True, slots=True)
class RequestField:
    """A value that the caller sends with a prediction. Made by `request`.

    Attributes
    ----------
    description, owner, default, expect, deprecated
        See `octavo.definitions.about.About`.
    """

    name: str
    dtype: DType
    required: bool = True
    description: str = ""
    owner: str = ""
    default: float | None = None
    expect: Expectation | None = None
    deprecated: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, what="request field")
        if not isinstance(self.dtype, DType) or self.dtype in (DType.VECTOR, DType.LIST):
            raise InvalidDefinition(
                f"request field {self.name!r} has type {self.dtype!r}; "
                "use one of oc.Float64, oc.Int64, oc.Bool, oc.String, oc.Category, oc.Timestamp"
            )


def request(name: str, dtype: DType, *, required: bool | None = None, **about: Unpack[About]) -> RequestField:
    """Declare a request field; a numeric one or a category listed in a model's features is also an input of the model.

    Parameters
    ----------
    required : bool
        Whether a request without it is refused; unless given, only one without a default is.
    """
    check_about(about, what=f"request field {name!r}", dtype=dtype)
    return RequestField(name, dtype, "default" not in about if required is None else required, **about)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemand:
    """A feature computed from others by the user's own function, the same offline and per request.

    Attributes
    ----------
    inputs : tuple of str
        By the names of the function's parameters: request fields, other on-demand features of the model, and features
        of its views as ``view__feature``.
    function : callable
        Takes one array per input, shape (n_rows,): float64, int64, bool, datetime64[us] (UTC) or object (strings, also
        of a category);
        returns an array of shape (n_rows,) that becomes float64. Other features are float64, those of views rounded to
        float32, and NaN where they are not known, whatever stands in for them in the model. Must not look at anything
        else.
    description, owner, default, expect, deprecated
        See `octavo.definitions.about.About`.
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Any] = field(repr=False, compare=False)
    source_code: str = field(repr=False, default="")
    description: str = ""
    owner: str = ""
    default: float | None = None
    expect: Expectation | None = None
    deprecated: str = ""


@overload
def on_demand(function: Callable[..., Any], /) -> OnDemand: ...


@overload
def on_demand(**about: Unpack[About]) -> Callable[[Callable[..., Any]], OnDemand]: ...


def on_demand(
    function: Callable[..., Any] | None = None, /, **about: Unpack[About]
) -> OnDemand | Callable[[Callable[..., Any]], OnDemand]:
    """Declare a function as an on-demand feature; its parameters name the request fields and features that it takes.

    Used as ``@oc.on_demand``, or as ``@oc.on_demand(default=0, owner="pricing")`` where more is said of it.
    """
    if function is None:
        return lambda declared: _on_demand(declared, about)
    return _on_demand(function, about)


def _on_demand(function: Callable[..., Any], about: About) -> OnDemand:
    check_about(about, what=f"on-demand feature {function.__name__!r}")
    said: About = {"description": inspect.getdoc(function) or "", **about}
    parameters = tuple(inspect.signature(function).parameters)
    if not parameters:
        raise InvalidDefinition(f"on-demand feature {function.__name__!r} takes no request field or feature")
    return OnDemand(
        name=check_name(function.__name__, what="on-demand feature"),
        inputs=parameters,
        function=function,
        source_code=code_of(function),
        **said,
    )
