"""Sources of events, and the features that are made from them."""

from dataclasses import dataclass

from octavo.console.formatting import duration, number
from octavo.console.rendering import render
from octavo.console.status import watch
from octavo.console.visits import Page, Reply, Visit
from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.definitions.models import input_name
from octavo.features.catalog import SourceSummary, ViewSummary
from octavo.features.declared import DeclaredFeature, FeatureKind
from octavo.features.events.letter_operations import DeadLetters

LETTERS_SHOWN = 5
"""Dead letters of each source that the page of sources shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """A feature in words.

    Attributes
    ----------
    input : str
        What models call it.
    """

    feature: Feature
    input: str
    meaning: str
    span: str
    expected: str


def sources(visit: Visit) -> Reply:
    """All sources, with the newest events of each that could not be taken."""
    found: tuple[SourceSummary, ...] = visit.call("sources.list")
    dead: DeadLetters | None = visit.call_if_allowed("events:read", "events.dead", limit=LETTERS_SHOWN)
    return render(visit, "sources.html", title="Sources", rows=found, dead=dead)


def features(visit: Visit) -> Reply:
    """All feature views."""
    found: tuple[ViewSummary, ...] = visit.call("features.list")
    declared: tuple[DeclaredFeature, ...] = visit.call("features.declared")
    others = [one for one in declared if one.kind is not FeatureKind.VIEW]
    deprecated = [one for one in declared if one.deprecated]
    total = len(declared) - len(others)
    return render(
        visit, "features.html", title="Features", rows=found, total=total, others=others, deprecated=deprecated
    )


def view(visit: Visit) -> Reply:
    """One feature view."""
    found: ViewSummary = visit.call("features.show", view=visit.parameters["view"])
    rows = [
        FeatureRow(
            feature=f,
            input=input_name(found.name, f.name),
            meaning=_meaning(f),
            span=_span(f),
            expected=str(f.expect or ""),
        )
        for f in found.features
    ]
    return render(visit, "feature.html", title=found.name, view=found, rows=rows, deprecated=watch("deprecated"))


def _meaning(feature: Feature) -> str:
    meaning = _meaning_everywhere(feature)
    return meaning if feature.where is None else f"{meaning}, where {feature.where}"


def _meaning_everywhere(feature: Feature) -> str:
    column = feature.column or "events"
    match feature.operation:
        case Operation.COUNT:
            return "number of events" if feature.column is None else f"number of {column} that are not null"
        case Operation.RATE:
            return f"share of events with {feature.condition}"
        case Operation.QUANTILE:
            return f"{number((feature.q or 0) * 100)} % of {column} are at most this"
        case Operation.FIRST:
            return f"oldest {column}"
        case Operation.LAST | Operation.LAST_K:
            return f"newest {column}" if (feature.nth or 1) == 1 else f"newest {column} but {(feature.nth or 1) - 1}"
        case Operation.DECAYED_SUM | Operation.DECAYED_COUNT:
            summed = "number of events" if feature.column is None else f"sum of {column}"
            return f"{summed}, by half less after {duration(feature.half_life_s)}"
        case Operation.LATEST:
            return f"newest {column}"
        case _:
            return f"{feature.operation} of {column}"


def _span(feature: Feature) -> str:
    if feature.window_s is not None:
        return f"last {duration(feature.window_s)}, in tiles of {duration(feature.tile_s)}"
    return f"stale from {duration(feature.ttl_s)} on"


PAGES = (
    Page(path="/sources", permission="features:read", show=sources),
    Page(path="/features", permission="features:read", show=features),
    Page(path="/features/{view}", permission="features:read", show=view),
)
