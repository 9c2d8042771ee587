"""What can be asked about models and their versions."""

from dataclasses import dataclass

from octavo.definitions.models import Model, Task
from octavo.definitions.plans import decode_plan
from octavo.errors import NotFound
from octavo.operations import Context, Operations
from octavo.registry.bundles import CARD, ENVIRONMENT, FORMS, PLAN, PROVENANCE, decode_manifest
from octavo.registry.comparisons import Comparison, decode_comparison
from octavo.registry.forms import Forms, decode_forms
from octavo.registry.provenance import Provenance, decode_provenance
from octavo.registry.versions import ModelVersion
from octavo.training.reports import Report, decode_report

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListModels:
    """All models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowModel:
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowVersion:
    model: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A declared model and its newest version.

    Attributes
    ----------
    metric : str
        The first metric that it declares; the one that it is judged by.
    newest : ModelVersion or None
        None if it was never trained.
    """

    model: str
    task: Task
    description: str
    owner: str
    metric: str
    versions: int
    newest: ModelVersion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """A model with its versions, the newest first.

    Attributes
    ----------
    gates, retrain : tuple of str
        What a version must pass, and what starts a retraining.
    answer : str
        The function that makes the answer of the model's output: ``calibrated(prediction, distance)``; or empty.
    """

    summary: ModelSummary
    label: str
    inputs: tuple[str, ...]
    views: tuple[str, ...]
    gates: tuple[str, ...]
    retrain: tuple[str, ...]
    versions: tuple[ModelVersion, ...]
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDetails:
    """A version with what its bundle tells of it.

    Attributes
    ----------
    format : str
        Of the native model.
    forms : Forms
        Which forms serve, and how long each took.
    size_bytes : int
        Of the whole bundle.
    files : dict of name to size in bytes
    comparison : Comparison or None
        With the version that was live when it was made, on the same rows.
    card : str
        Markdown.
    environment : str
        One ``name==version`` a line.
    answer : str
        The function that makes the answer of the model's output; empty if that is the answer.
    """

    version: ModelVersion
    report: Report
    provenance: Provenance
    card: str
    environment: str
    format: str
    forms: Forms
    size_bytes: int
    files: dict[str, int]
    comparison: Comparison | None = None
    answer: str = ""


@operations.operation("models.list", request=ListModels, permission="models:read")
def list_models(request: ListModels, context: Context) -> tuple[ModelSummary, ...]:
    """List the models with their newest versions."""
    return tuple(_summary(model, _versions(context, model)) for _, model in sorted(context.project.models.items()))


@operations.operation("models.show", request=ShowModel, permission="models:read")
def show_model(request: ShowModel, context: Context) -> ModelDetails:
    """Show a model with its versions."""
    model = context.project.model(request.model)
    versions, label = _versions(context, model), model.label
    return ModelDetails(
        summary=_summary(model, versions),
        label=f"{label.source.name}.{label.column}" + ("" if label.above is None else f" > {label.above:g}"),
        inputs=model.input_names,
        views=tuple(view.name for view in model.views),
        gates=tuple(gate.name for gate in model.gates),
        retrain=tuple(trigger.name for trigger in model.retrain),
        versions=versions,
        answer="" if model.answer is None else str(model.answer),
    )


# A long operation, so that no transaction is open while files are read.
@operations.operation("models.version", request=ShowVersion, permission="models:read", long=True)
def show_version(request: ShowVersion, context: Context) -> VersionDetails:
    """Show a version with its report, card and provenance."""
    with context.transaction() as tx:
        version = tx.get(ModelVersion, f"{request.model}/{request.version}")
        if version is None:
            known = [str(found.version) for found in tx.find(ModelVersion, model=request.model)]
            raise NotFound(f"version of model {request.model!r}", str(request.version), known)
    artifacts = context.stores.artifacts
    manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)

    def text(name: str) -> str:
        return artifacts.get(manifest.files[name].digest).decode()

    return VersionDetails(
        version=version,
        report=decode_report(artifacts.get(version.report)),
        provenance=decode_provenance(artifacts.get(manifest.files[PROVENANCE].digest)),
        card=text(CARD),
        environment=text(ENVIRONMENT),
        format=manifest.format,
        forms=decode_forms(artifacts.get(manifest.files[FORMS].digest) if FORMS in manifest.files else None),
        size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
        files={name: entry.size_bytes for name, entry in sorted(manifest.files.items())},
        comparison=decode_comparison(artifacts.get(version.comparison)) if version.comparison else None,
        answer=decode_plan(artifacts.get(manifest.files[PLAN].digest)).answered_by,
    )


def _versions(context: Context, model: Model) -> tuple[ModelVersion, ...]:
    return tuple(context.transacted.find(ModelVersion, newest_first=True, model=model.name))


def _summary(model: Model, versions: tuple[ModelVersion, ...]) -> ModelSummary:
    return ModelSummary(
        model=model.name,
        task=model.task,
        description=model.description,
        owner=model.owner,
        metric=model.metrics[0] if model.metrics else "",
        versions=len(versions),
        newest=versions[0] if versions else None,
    )
