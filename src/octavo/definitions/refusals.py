"""What cannot be right although each definition is, refused where a project's definitions come together."""

from collections.abc import Callable, Iterable

from octavo.definitions.derived import SQLSource
from octavo.definitions.features import FeatureView
from octavo.definitions.models import Model
from octavo.definitions.types import DType
from octavo.errors import InvalidDefinition


def check_together(views: Iterable[FeatureView], models: Iterable[Model]) -> None:
    """Refuse feature views and models that contradict what they rest on.

    Raises
    ------
    InvalidDefinition
        With the reason and what to do about it.
    """
    for view in views:
        _check_ages(view)
    for model in models:
        for check in _OF_MODELS:
            check(model)


def takes_label(model: Model, view: FeatureView) -> bool:
    """Whether a feature of the view is made from the label's column of the label's source."""
    is_read = any(model.label.column in feature.columns for feature in view.features)
    return is_read and view.source == model.label.source


def _check_ages(view: FeatureView) -> None:
    """A value must not become stale before the next one can come."""
    source = view.source
    if not isinstance(source, SQLSource):
        return
    for feature in view.features:
        if feature.ttl_s is not None and feature.ttl_s < source.every_s:
            raise InvalidDefinition(
                f"feature view {view.name!r}: {feature.name} is stale from {feature.ttl_s} s on, and source "
                f"{source.name!r} is refreshed every {source.every_s} s, so it would be stale most of the time; "
                "raise ttl, or lower the source's every"
            )


def _check_label(model: Model) -> None:
    """A label that is said to be known when the decision is made tells of decisions what only comes of them."""
    label, source = model.label, model.label.source
    told = [view.name for view in model.views if takes_label(model, view)]
    if told and label.at == source.available_at:
        raise InvalidDefinition(
            f"model {model.name!r}: feature view {told[0]!r} is made from the label {label.column!r}, which source "
            f"{source.name!r} says is known at {source.available_at!r}, the moment of the decision (a leak); say when "
            "it really becomes known: available_at='...' in the source"
        )


def _check_known_at(model: Model) -> None:
    """Nobody can send with a request when its outcome will be known."""
    label, source = model.label, model.label.source
    for field in model.request_fields:
        if field.name == source.available_at != source.event_time and field.name != label.at:
            raise InvalidDefinition(
                f"model {model.name!r}: request field {field.name!r} is when its label becomes known, which no caller "
                "knows at the decision (a leak); leave it out"
            )


def _check_names(model: Model) -> None:
    """Whatever a model takes has a name of its own, and a key one type."""
    names = [
        *(view.name for view in model.views),
        *(function.name for function in model.on_demand),
        *(field.name for field in model.request_fields),
    ]
    for name in names:
        if names.count(name) > 1:
            raise InvalidDefinition(
                f"model {model.name!r}: {name!r} names two of its feature views, on-demand features and request "
                "fields; rename one"
            )


def _check_keys(model: Model) -> None:
    """An entity's key that is sent as a request field too is one value of one type."""
    fields = {field.name: field.dtype for field in model.request_fields}
    for entity in (entity for view in model.views for entity in view.entities):
        sent = fields.get(entity.key, entity.dtype)
        if (DType.STRING if sent is DType.CATEGORY else sent) is not entity.dtype:
            raise InvalidDefinition(
                f"model {model.name!r}: request field {entity.key!r} is {fields[entity.key]}, and the key of "
                f"entity {entity.name!r} is {entity.dtype}; declare both alike, or rename the field"
            )


_OF_MODELS: tuple[Callable[[Model], None], ...] = (_check_names, _check_keys, _check_label, _check_known_at)
