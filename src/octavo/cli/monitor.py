"""monitor: how deployments do."""

from typing import Annotated

import typer
from rich.text import Text

from octavo.cli.measures import bar, duration, interval
from octavo.cli.options import Deployment, Json
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.session import ask, open_session
from octavo.cli.times import parse_time
from octavo.monitoring.compare import Comparison
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.looks import Look
from octavo.monitoring.operations import CompareVersions, LookNow, MonitoringDetails, ShowMonitoring, ShowTraffic
from octavo.monitoring.traffic import Traffic
from octavo.release.operations import DeploymentSummary, ListDeployments

_STYLES = {Verdict.HEALTHY: "green", Verdict.UNHEALTHY: "bold red", Verdict.UNKNOWN: "dim"}
_MOST_INPUTS = 10
Since = Annotated[str | None, typer.Option(help="From this moment on: 2013-07-09T00:00:00Z.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    for command in (show, look, traffic, compare):
        commands.command()(command)
    app.add_typer(commands, name="monitor")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show how deployments do: data quality, drift, error, traffic.

    The worker (octavo up) looks at each deployment as often as its monitor says. `octavo monitor look` looks now.

    \b
    Examples:
      octavo monitor
      octavo monitor show eta
      octavo monitor compare eta 1

    \b
    Next:
      octavo incidents
    """
    if context.invoked_subcommand is not None:
        return
    with open_session() as session:
        deployments: tuple[DeploymentSummary, ...] = session.call(ListDeployments())
        names = [summary.state.deployment for summary in deployments]
        details: list[MonitoringDetails] = [session.call(ShowMonitoring(deployment=name, limit=1)) for name in names]
    if json:
        emit_json(details)
        return
    show_table(
        ["deployment", ">live", "last look", ">predictions", ">drift", "open incidents", "?error"],
        (_overview_row(d) for d in details),
        empty="No deployment yet. Declare one with oc.Deployment and put it into force: octavo apply",
    )


def _overview_row(details: MonitoringDetails) -> list[object]:
    last = details.looks[-1] if details.looks else None
    incidents = tuple(incident.incident_kind.value for incident in details.incidents)
    if last is None:
        return [details.deployment, details.version, None, None, None, incidents, None]
    return [details.deployment, details.version, last.at, f"{last.predictions:,}", last.drift, incidents, _error(last)]


def _error(look: Look) -> str:
    if look.performance is None:
        return ""
    return f"{look.performance.metric} {interval(look.performance.observed)}"


def show(
    deployment: Deployment,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many looks, the newest last.")] = 10,
    json: Json = False,
) -> None:
    """Show the last looks at a deployment, what they were compared with, and how its inputs have moved.

    \b
    Example:
      octavo monitor show eta

    \b
    Next:
      octavo incidents --deployment eta
      octavo monitor traffic eta
    """
    details: MonitoringDetails = ask(ShowMonitoring(deployment=deployment, limit=limit))
    if json:
        emit_json(details)
        return
    held_out = f"{details.metric} {interval(details.held_out)}" if details.held_out else "-"
    thresholds = details.thresholds
    show_facts(
        [
            ("deployment", f"{details.deployment}, {details.model} {details.version or '(no live version)'}"),
            ("looks", f"every {duration(details.every_s)}, at the {duration(details.window_s)} before"),
            ("held out", held_out),
            ("allowed", f"drift up to {thresholds.drift:g}, error {thresholds.degradation:.0%} above that held out"),
            ("open incidents", tuple(incident.incident_kind.value for incident in details.incidents)),
        ]
    )
    say("")
    show_table(
        ["look", ">version", ">predictions", ">outcomes", ">drift", "error", "unhealthy"],
        (
            [k.at, k.version, f"{k.predictions:,}", f"{k.outcomes:,}", k.drift, _error(k), _bad(k)]
            for k in details.looks
        ),
        empty=f"Nobody looked yet. Look now: octavo monitor look {deployment}",
    )
    for last in details.looks[-1:]:
        _show_inputs(last)


def _bad(look: Look) -> tuple[str, ...]:
    return tuple(finding.kind.value for finding in look.findings if finding.verdict is Verdict.UNHEALTHY)


def look(deployment: Deployment, json: Json = False) -> None:
    """Look at a deployment now: this opens incidents, and ends them.

    \b
    Example:
      octavo monitor look eta

    \b
    Next:
      octavo incidents --open
    """
    seen: Look = ask(LookNow(deployment=deployment))
    if json:
        emit_json(seen)
        return
    say(f"[bold]{seen.deployment}[/], {seen.model} {seen.version or '(no live version)'}, {_window(seen)}:")
    say(f"{seen.predictions:,} predictions, {seen.outcomes:,} outcomes.")
    say("")
    show_table(
        ["respect", "verdict", "what was seen", "cause"],
        ([f.kind.value, _verdict(f), f.summary, f.cause] for f in seen.findings),
        empty=f"Nothing can be judged before a version is live: octavo deployments release {deployment}",
    )
    _show_inputs(seen)


def _show_inputs(seen: Look) -> None:
    """Print the inputs that moved most, each with a bar that is full where it alone makes an incident."""
    if not seen.inputs:
        return
    say("")
    allowed = next(finding.threshold for finding in seen.findings if finding.kind is IncidentKind.DRIFT)
    show_table(
        ["input", ">drift", ">importance", ">adds", "?to the drift"],
        (
            [i.name, i.drift, f"{i.importance:.1%}", i.contribution, bar(i.contribution / allowed)]
            for i in seen.inputs[:_MOST_INPUTS]
        ),
        empty="",
    )


def _window(look: Look) -> str:
    return f"{look.since:%Y-%m-%d %H:%M} to {look.at:%Y-%m-%d %H:%M} UTC"


def _verdict(finding: Finding) -> Text:
    return Text(finding.verdict.value, style=_STYLES[finding.verdict])


def traffic(deployment: Deployment, since: Since = None, json: Json = False) -> None:
    """Show a deployment's traffic by the hour and version; of the last seven days unless --since is given.

    \b
    Example:
      octavo monitor traffic eta

    \b
    Next:
      octavo deployments show eta
    """
    found: Traffic = ask(ShowTraffic(deployment=deployment, since=parse_time(since, option="since")))
    if json:
        emit_json(found)
        return
    show_table(
        ["hour", ">version", "arm", ">rows", ">failed", ">p50 ms", ">p99 ms", ">mean"],
        (
            [h.hour, h.version, h.arm, f"{h.rows:,}", h.failed, _ms(h.latency_p50_us), _ms(h.latency_p99_us), h.mean]
            for h in found.hours
        ),
        empty=f"No traffic since {found.since:%Y-%m-%d %H:%M}. Make some: octavo predict {plain(deployment)} ROWS",
    )


def compare(
    deployment: Deployment,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version that might have answered.")],
    since: Since = None,
    until: Annotated[str | None, typer.Option(help="Up to this moment: 2013-07-11T00:00:00Z.")] = None,
    json: Json = False,
) -> None:
    """Replay recorded requests through a version, and judge it by the outcomes that came.

    It answers what would have been, had that version answered: with version 1, whether retraining was worth it.

    \b
    Examples:
      octavo monitor compare eta 1
      octavo monitor compare eta 1 --since 2013-07-09T00:00:00Z

    \b
    Next:
      octavo models version MODEL VERSION
    """
    request = CompareVersions(
        deployment=deployment,
        version=version,
        since=parse_time(since, option="since"),
        until=parse_time(until, option="until"),
    )
    found: Comparison = ask(request)
    if json:
        emit_json(found)
        return
    _show_comparison(found)


def _show_comparison(found: Comparison) -> None:
    better = "higher" if found.higher_is_better else "lower"
    show_table(
        ["who", f">{found.metric} ({better} is better)"],
        [
            ["as answered", interval(found.error_live)],
            [f"{found.model} {found.version}", interval(found.error_other)],
            ["difference", interval(found.difference)],
        ],
        empty="",
    )
    say(f"Over {found.rows:,} predictions with outcomes; {found.skipped:,} were made from other inputs.")


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1000:.2f}"
