"""Predictions: found by deployment, entity or id; each with all that is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from markupsafe import Markup

from octavo.console.charts.histograms import distribution
from octavo.console.formatting import duration, number
from octavo.console.rendering import render
from octavo.console.status import Status, healthy, unknown, watch
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.monitoring.explanations import Explanation
from octavo.monitoring.predictions import InputValue, PredictionDetails, PredictionSummary
from octavo.registry.operations import VersionDetails
from octavo.release.composites import CompositeState
from octavo.release.operations import DeploymentSummary
from octavo.training.reports import Report

_PAGE = 50
_STATUSES = {"present": healthy("present"), "stale": watch("stale"), "missing": unknown("missing")}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRow:
    """An input as the model was given it.

    Attributes
    ----------
    place : Markup
        Where the value stands among those of training, drawn; empty if that is not known.
    word : str
        Of a category; empty for a number.
    """

    input: InputValue
    status: Status
    importance: float | None
    contribution: float | None
    place: Markup
    word: str = ""


def predictions(visit: Visit) -> Reply:
    """Find predictions."""
    wanted = visit.query.get("id", "").strip()
    if wanted:
        return Reply(location=f"/predictions/{quote(wanted, safe='')}")
    summaries: tuple[DeploymentSummary, ...] = visit.call_if_allowed("deployments:read", "deployments.list") or ()
    composites: tuple[CompositeState, ...] = visit.call_if_allowed("deployments:read", "composites.list") or ()
    known = [*(summary.state.deployment for summary in summaries), *(state.composite for state in composites)]
    deployment = visit.query.get("deployment") or (known[0] if known else "")
    entity, before = visit.query.get("entity", "").strip(), visit.query.get("before") or None
    found, problem = _find(visit, deployment, entity=entity, before=before)
    return render(
        visit,
        "predictions.html",
        title="Predictions",
        status=422 if problem else 200,
        problem=problem,
        known=known,
        deployment=deployment,
        entity=entity,
        is_newest=before is None,
        rows=found,
        older=_older(deployment, entity, found),
    )


def prediction(visit: Visit) -> Reply:
    """One prediction."""
    found: PredictionDetails = visit.call("predictions.show", prediction=visit.parameters["prediction"])
    report = _report(visit, found.summary)
    explanation = _explanation(visit, found)
    rows = [_input_row(value, report, explanation) for value in found.inputs]
    rows.sort(key=lambda row: (abs(row.contribution or 0), row.importance or 0), reverse=True)
    said = {node.deployment: node.summary for node in found.nodes}
    return render(
        visit,
        "prediction.html",
        title=f"Prediction {found.summary.id[-8:]}",
        found=found,
        verdict=_verdict(found),
        rows=rows,
        nodes=[(value, said.get(value.name)) for value in found.inputs],
        explanation=explanation,
        not_present=sum(row.input.status != "present" for row in rows),
        counting=found.outcomes[-1] if found.outcomes else None,
    )


def _find(
    visit: Visit, deployment: str, *, entity: str, before: str | None
) -> tuple[tuple[PredictionSummary, ...], str]:
    if not deployment:
        return (), ""
    try:
        found: tuple[PredictionSummary, ...] = visit.call(
            "predictions.list", deployment=deployment, entity=entity or None, before=before, limit=_PAGE
        )
    except OctavoError as error:
        return (), error.message
    return found, ""


def _older(deployment: str, entity: str, found: tuple[PredictionSummary, ...]) -> str | None:
    if len(found) < _PAGE:
        return None
    query = {"deployment": deployment, "before": found[-1].id} | ({"entity": entity} if entity else {})
    return f"/predictions?{urlencode(query)}"


def _report(visit: Visit, summary: PredictionSummary) -> Report | None:
    try:
        found: VersionDetails | None = visit.call_if_allowed(
            "models:read", "models.version", model=summary.model, version=summary.version
        )
    except OctavoError:
        return None
    return found.report if found else None


def _explanation(visit: Visit, found: PredictionDetails) -> Explanation | None:
    """None where there is none to be had: of a composite, a failure, or a bundle that is gone."""
    try:
        explanation: Explanation = visit.call("predictions.explain", prediction=found.summary.id)
    except OctavoError:
        return None
    return explanation


def _verdict(found: PredictionDetails) -> tuple[Status, str]:
    summary = found.summary
    said = f"Version {summary.version} answered {number(summary.output)}"
    if summary.output is None:
        return watch("failed"), f"Version {summary.version} failed to answer."
    if summary.label is None:
        return unknown("no outcome yet"), f"{said}; what came of it is not known yet."
    later = duration((found.outcomes[-1].known_at - summary.at).total_seconds())
    return healthy("outcome known"), f"{said}; {number(summary.label)} came, known {later} later."


def _input_row(value: InputValue, report: Report | None, explanation: Explanation | None) -> InputRow:
    contributions = {one.input: one.contribution for one in explanation.reasons} if explanation else {}
    importance: Mapping[str, float] = report.importance if report else {}
    return InputRow(
        input=value,
        status=_STATUSES.get(value.status, watch(value.status)),
        importance=importance.get(value.name),
        contribution=contributions.get(value.name),
        place=_place(value, report),
        word=_word(value, report),
    )


def _word(value: InputValue, report: Report | None) -> str:
    """The word of a category, or those that it is counted with; empty for a number."""
    profile = report.profiles.get(value.name) if report else None
    if profile is None or not profile.words or value.value is None:
        return ""
    return profile.words[int(profile.counts([value.value])[0].argmax())]


def _place(value: InputValue, report: Report | None) -> Markup:
    profile = report.profiles.get(value.name) if report else None
    if profile is None or value.value is None:
        return Markup("")
    title = f"{value.name}: {number(value.value)} among the values of training"
    return distribution(title, profile.shares, edges=profile.edges, value=value.value)


PAGES = (
    Page(path="/predictions", permission="predictions:read", show=predictions),
    Page(path="/predictions/{prediction}", permission="predictions:read", show=prediction),
)
