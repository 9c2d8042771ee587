"""features: what is computed from events, and for whom."""

from typing import Annotated

import typer

from octavo.cli.feature_audits import audit
from octavo.cli.measures import duration, number
from octavo.cli.options import Json
from octavo.cli.output import emit_json, say, show_facts, show_table
from octavo.cli.session import ask, open_session
from octavo.definitions.features import Feature
from octavo.features.catalog import ViewSummary
from octavo.features.declared import DeclaredFeature
from octavo.features.operations import DescribeFeature, ListDeclaredFeatures, ListFeatures, ShowFeatures


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command("list")(list_features)
    commands.command()(show)
    commands.command()(audit)
    app.add_typer(commands, name="features")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show the feature views, and which models take them.

    \b
    Examples:
      octavo features
      octavo features list
      octavo features show plane_landings

    \b
    Next:
      octavo train MODEL
    """
    if context.invoked_subcommand is not None:
        return
    views: tuple[ViewSummary, ...] = ask(ListFeatures())
    if json:
        emit_json(views)
        return
    show_table(
        ["feature view", "source", "key", ">features", "models"],
        ([v.name, v.source, v.keys, len(v.features), v.models] for v in views),
        empty="No feature view yet. Declare one with oc.FeatureView in the project's module.",
    )


def list_features(json: Json = False) -> None:
    """Show every value that models may take: those of feature views, on-demand features and request fields.

    \b
    Example:
      octavo features list

    \b
    Next:
      octavo features show plane_landings__arr_delay_mean_24h
    """
    found: tuple[DeclaredFeature, ...] = ask(ListDeclaredFeatures())
    if json:
        emit_json(found)
        return
    show_table(
        ["feature", "from", "type", "?models", "?default", "?deprecated", "?owner", "?description"],
        ([f.name, f.view or f.kind, f.dtype, f.models, f.default, f.deprecated, f.owner, f.description] for f in found),
        empty="No feature yet. Declare a view with oc.FeatureView in the project's module.",
    )


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A feature view, or a feature by what models call it.")],
    json: Json = False,
) -> None:
    """Show a feature view with its features, or one feature with all that is said of it.

    \b
    Examples:
      octavo features show plane_landings
      octavo features show plane_landings__arr_delay_latest

    \b
    Next:
      octavo predictions show ID    (the values that a prediction was made from)
    """
    found = _found(name)
    if json:
        emit_json(found)
    elif isinstance(found, ViewSummary):
        _show_view(found)
    else:
        _show_feature(found)


def _found(name: str) -> ViewSummary | DeclaredFeature:
    with open_session() as session:
        views: tuple[ViewSummary, ...] = session.call(ListFeatures())
        is_view = name in {view.name for view in views}
        found: ViewSummary | DeclaredFeature = session.call(
            ShowFeatures(view=name) if is_view else DescribeFeature(name=name)
        )
        return found


def _show_view(view: ViewSummary) -> None:
    show_facts(
        [
            ("feature view", view.name),
            ("source", view.source),
            ("key", _keys(view)),
            ("models", view.models),
            ("owner", view.owner),
            ("description", view.description),
            ("online", "" if view.online_bytes is None else f"{number(view.online_bytes)} bytes a value"),
        ]
    )
    say("")
    show_table(
        ["feature", "operation", "of", "window", "?default", "?expected", "?deprecated", "?description"],
        (
            [
                f.name,
                f.operation,
                f.measure,
                _window(f.window_s, f.ttl_s),
                f.default,
                f.expect,
                f.deprecated,
                f.description,
            ]
            for f in view.features
        ),
        empty="It has no features.",
    )


def _keys(view: ViewSummary) -> str:
    keys, of_source = ", ".join(view.keys), ", ".join(view.source_keys)
    return keys if keys == of_source else f"{keys} (in the source {of_source})"


def _show_feature(found: DeclaredFeature) -> None:
    of_view = found.feature
    show_facts(
        [
            ("feature", found.name),
            ("from", f"feature view {found.view}" if found.view else found.kind),
            ("type", found.dtype),
            ("description", found.description),
            ("owner", found.owner),
            *([] if of_view is None else _computed(of_view)),
            ("takes", found.takes),
            ("default", found.default),
            ("expected", found.expect),
            ("deprecated", found.deprecated),
            ("models", found.models),
        ]
    )


def _computed(feature: Feature) -> list[tuple[str, object]]:
    return [
        ("operation", feature.operation),
        ("of", feature.measure),
        ("window", "" if feature.window_s is None else duration(feature.window_s)),
        ("tile", "" if feature.tile_s is None else duration(feature.tile_s)),
        ("stale from", "" if feature.ttl_s is None else f"{duration(feature.ttl_s)} on"),
    ]


def _window(window_s: int | None, ttl_s: int | None) -> str:
    if window_s is not None:
        return duration(window_s)
    return f"until {duration(ttl_s)} old" if ttl_s is not None else ""
