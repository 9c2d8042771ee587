"""The end of a demo, shown: a summary for people, or the one JSON object for programs. On the output stream."""

from collections.abc import Sequence

from octavo.cli.demo.summary import Errors, IncidentSummary, Outcome, Summary
from octavo.cli.measures import duration, number
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.config import Config


def show_outcome(outcome: Outcome, config: Config, *, as_json: bool) -> None:
    """Show what a demo came to."""
    summary = outcome.summary
    if as_json:
        emit_json(summary)
        return
    _title("What happened")
    show_facts(_facts(summary))
    _title("Versions")
    show_table(["model", ">version", "stage"], ([v.model, v.version, v.stage] for v in summary.versions), empty="None.")
    _title("Incidents")
    show_table(
        ["deployment", "kind", "opened", "resolved after", "cause"],
        ([i.deployment, i.kind, i.opened_at, _open_for(i), _shortened(i.cause)] for i in summary.incidents),
        empty="None opened in these days. The whole replay has some: octavo demo trips --fresh",
    )
    _show_errors([errors for errors in outcome.errors if errors.retrained])
    _title("Where each thing is kept")
    show_facts(_places(config))


def _show_errors(found: Sequence[Errors]) -> None:
    _title("Error since a retrained version went live, on the same flights")
    show_table(
        ["deployment", "since", ">flights", "metric", ">as served", ">never retrained", ">difference"],
        ([e.deployment, e.since, f"{e.rows:,}", e.metric, e.live, e.never_retrained, _difference(e)] for e in found),
        empty="No retrained version went live in these days.",
    )


def _title(text: str) -> None:
    say("")
    say(f"[bold]{text}[/]")


def _facts(summary: Summary) -> list[tuple[str, object]]:
    return [
        ("events", f"{summary.events:,}"),
        ("requests", f"{summary.requests:,}, {summary.failed_requests:,} failed"),
        ("latency", f"p50 {summary.p50_ms:.1f} ms, p99 {summary.p99_ms:.1f} ms, as the client saw it"),
        ("outcomes", f"{summary.outcomes:,}"),
        ("retrained", "yes, and live" if summary.retrained else "no"),
        ("took", duration(summary.seconds)),
    ]


def _open_for(incident: IncidentSummary) -> str:
    if incident.resolved_at is None:
        return "open"
    return duration((incident.resolved_at - incident.opened_at).total_seconds())


def _shortened(cause: str, *, most: int = 100) -> str:
    return cause if len(cause) <= most else f"{cause[:most].rsplit(' ', 1)[0]} ..."


def _difference(errors: Errors) -> str:
    if errors.difference is None or not errors.never_retrained:
        return "-"
    interval = f"{number(errors.low or 0.0)} to {number(errors.high or 0.0)}"
    return f"{errors.difference / errors.never_retrained:+.1%} ({number(errors.difference)}: {interval})"


def _places(config: Config) -> list[tuple[str, object]]:
    stores = config.stores
    return [
        ("project", plain(config.root)),
        ("definitions, runs, versions, releases, incidents, audit", stores.metadata),
        ("events, predictions, outcomes as Delta tables", stores.tables),
        ("features for requests", stores.online),
        ("what was accepted, until it is carried on", stores.stream),
        ("signed bundles and manifests, by digest", stores.artifacts),
        ("what the three processes say", ".octavo/logs"),
    ]
