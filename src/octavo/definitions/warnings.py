"""What is right as declared, and still likely to be a mistake."""

from octavo.definitions.models import Model
from octavo.definitions.project import Project


def warnings_of(project: Project) -> tuple[str, ...]:
    """Everything worth a second look in a project, by model."""
    return tuple(warning for _, model in sorted(project.models.items()) for warning in model_warnings(model))


def model_warnings(model: Model) -> tuple[str, ...]:
    """What is worth a second look in a model: what it takes that is deprecated, and what may tell it its label."""
    return (*deprecations(model), *suspected_leaks(model))


def deprecations(model: Model) -> tuple[str, ...]:
    """What a model takes that is deprecated, and what to take instead."""
    return tuple(
        f"model {model.name!r} takes {name}, which is deprecated: {one.deprecated}"
        for name, one in model.declared.items()
        if one.deprecated
    )


def suspected_leaks(model: Model) -> tuple[str, ...]:
    """Features from a column named as the label that another source claims to know the moment its events happen.

    If it is the same truth, it stands in that source before anybody could have known it.
    """
    label = model.label
    return tuple(
        f"model {model.name!r}: feature view {view.name!r} is made from {label.column!r} of source "
        f"{view.source.name!r}, named as the label and known there at {view.source.event_time!r}; if it is the "
        "same truth and known later, declare available_at='...' there"
        for view in model.views
        if view.source != label.source
        and view.source.available_at == view.source.event_time
        and any(label.column in feature.columns for feature in view.features)
    )
