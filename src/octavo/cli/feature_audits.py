"""features audit: training and serving, compared on what was really answered."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.measures import number
from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.session import open_session, progress_bar
from octavo.config import config_here
from octavo.definitions.types import seconds
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.features.audit.reasons import Example, FeatureAudit, Reason
from octavo.loop.audits import AuditFeatures, AuditReport
from octavo.stores.ownership import online_lock

WRONG = 1
"""The exit code where values were served that the events do not explain."""


def audit(
    deployment: Annotated[str | None, typer.Option(help="Only of this deployment; all unless given.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Spread over the last 24h, 7d, ...; the newest unless given.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, max=100_000, help="Predictions of each deployment at most.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare the features that predictions were given with what the events say.

    Each value is computed once more, as training would have it, from what was known before the prediction. One that
    differs has a reason: an event came late, the code has changed, the store could not be reached, or the store is
    wrong. The last opens an incident, and the command then ends with exit code 1. The worker (octavo up) audits by
    itself, as often as [audit] every says.

    \b
    Examples:
      octavo features audit
      octavo features audit --deployment eta --since 24h

    \b
    Next:
      octavo incidents --open
    """
    if not online_lock(config_here()).is_taken():
        bring_up_to_date()
    with open_session() as session, progress_bar() as report:
        moment = None if since is None else session.context.clock.now() - _span(since)
        request = AuditFeatures(deployment=deployment, since=moment, limit=limit)
        found: tuple[AuditReport, ...] = session.call(request, progress=report)
    if json:
        emit_json(found)
    else:
        _show(found)
    if any(one.wrong for one in found):
        raise typer.Exit(WRONG)


def _span(text: str) -> timedelta:
    try:
        return timedelta(seconds=seconds(text, what="time"))
    except InvalidDefinition as error:
        raise InvalidRequest(f"--since {text}: {error.message}", field="since", fix="write it like 24h") from error


def _show(found: tuple[AuditReport, ...]) -> None:
    for place, report in enumerate(found):
        audited = report.audit
        if place:
            say("")
        if not audited.features:
            say(f"[bold]{plain(audited.deployment)}[/]: no prediction to audit.")
        else:
            versions = ", ".join(map(str, audited.versions))
            say(f"[bold]{plain(audited.deployment)}[/], {audited.model} {versions}:")
            say(
                f"{audited.predictions:,} predictions; {report.wrong:,} of {audited.values:,} values are not what the "
                "events say."
            )
            say("")
            show_features(audited.features)
        for remark in report.remarks:
            say(f"Note: {plain(remark)}.")
    if not found:
        say("No deployment yet. Declare one with oc.Deployment and put it into force: octavo apply")


def show_features(features: tuple[FeatureAudit, ...]) -> None:
    """Print the features of which a value differs, with examples; of the others how many they are."""
    occurring = [reason for reason in Reason if reason is Reason.EQUAL or any(f.count(reason) for f in features)]
    differing = [f for f in features if f.count(Reason.EQUAL) < f.values]
    equal = len(features) - len(differing)
    if differing:
        show_table(
            ["feature", *(f">{reason}" for reason in occurring)],
            ([f.name, *(f"{f.count(reason):,}" for reason in occurring)] for f in differing),
            empty="",
        )
    if equal:
        say(f"Every value of {equal}{' more' if differing else ''} feature{'' if equal == 1 else 's'} is equal.")
    examples = [row for feature in features for row in _examples(feature)]
    if examples:
        say("")
        show_table(["feature", "reason", "prediction", ">served", ">recomputed", "?events"], examples, empty="")


def _examples(feature: FeatureAudit) -> Iterator[list[object]]:
    """One example of each reason."""
    shown: set[Reason] = set()
    for example in feature.examples:
        if example.reason not in shown:
            shown.add(example.reason)
            served = _value(example.served, example.served_status)
            recomputed = _value(example.recomputed, example.recomputed_status)
            yield [feature.name, example.reason, example.prediction, served, recomputed, _events(example)]


def _value(value: float | None, status: str) -> str:
    return status if value is None else number(value)


def _events(example: Example) -> str:
    return "; ".join(
        f"{event.source} {' '.join(f'{column}={key}' for column, key in event.id.items())}, "
        f"ingested {event.ingested_at:%Y-%m-%d %H:%M:%S}"
        for event in example.events
    )
