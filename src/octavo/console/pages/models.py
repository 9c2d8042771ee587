"""Models: what exists, what serves, and the versions of each."""

from dataclasses import dataclass
from urllib.parse import quote

from octavo.console.formatting import listed, plural, sentence
from octavo.console.pages.runs import metric_words
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, run_status, unknown
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.registry.operations import ModelDetails, ModelSummary
from octavo.registry.versions import ModelVersion
from octavo.release.operations import DeploymentSummary
from octavo.training.runs import Run

_MOST_RUNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where a version answers, and as what."""

    version: int
    deployment: str
    role: str
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """A version in the list of its model's."""

    version: ModelVersion
    gates: Status
    metrics: str
    serving: list[Serving]


def models(visit: Visit) -> Reply:
    """All models."""
    found: tuple[ModelSummary, ...] = visit.call("models.list")
    rows = [(summary, serving_of(visit, summary.model)) for summary in found]
    return render(visit, "models.html", title="Models", rows=rows)


def model(visit: Visit, *, problem: str = "", status: int = 200) -> Reply:
    """One model."""
    name = visit.parameters["model"]
    details: ModelDetails = visit.call("models.show", model=name)
    runs: tuple[Run, ...] = visit.call("runs.list", model=name, limit=_MOST_RUNS)
    serving = serving_of(visit, name)
    return render(
        visit,
        "model.html",
        title=name,
        status=status,
        problem=problem,
        details=details,
        verdict=_verdict(details, serving),
        serving=serving,
        versions=[_version_row(version, serving) for version in details.versions],
        runs=[(run, run_status(run.status)) for run in runs],
        can_train=visit.principal.may("models:write"),
    )


def train(visit: Visit) -> Reply:
    """A form was sent to train a model."""
    name = visit.parameters["model"]
    try:
        run: Run = visit.call("runs.request", model=name)
    except OctavoError as error:
        return model(visit, problem=error.message, status=409)
    return Reply(location=f"/runs/{quote(run.id)}")


def serving_of(visit: Visit, name: str) -> list[Serving]:
    """Where versions of a model answer."""
    summaries: tuple[DeploymentSummary, ...] = visit.call_if_allowed("deployments:read", "deployments.list") or ()
    return [
        Serving(version=arm.version, deployment=summary.state.deployment, role=arm.role, percent=arm.percent)
        for summary in summaries
        if summary.state.model == name
        for arm in summary.arms
    ]


def gates_status(version: ModelVersion) -> Status:
    """Whether a version earned its release."""
    if not version.gates:
        return unknown("no gates")
    failed = [result for result in version.gates if not result.passed]
    if failed:
        return failing(f"{len(failed)} of {plural(len(version.gates), 'gate')} failed")
    return healthy(f"{plural(len(version.gates), 'gate')} passed")


def _version_row(version: ModelVersion, serving: list[Serving]) -> VersionRow:
    return VersionRow(
        version=version,
        gates=gates_status(version),
        metrics=metric_words(version.metrics),
        serving=[place for place in serving if place.version == version.version],
    )


def _verdict(details: ModelDetails, serving: list[Serving]) -> tuple[Status, str]:
    live = [place for place in serving if place.role == "live"]
    if live:
        words = [f"version {place.version} answers in {place.deployment}" for place in live]
        return healthy("live"), sentence(listed(words))
    if details.versions:
        return unknown("not live"), f"{plural(len(details.versions), 'version')}, none of which is live."
    return unknown("no version"), "It has not been trained yet."


PAGES = (
    Page(path="/models", permission="models:read", show=models),
    Page(path="/models/{model}", permission="models:read", show=model),
    Page(path="/models/{model}/train", permission="models:write", show=train, method="POST"),
)
