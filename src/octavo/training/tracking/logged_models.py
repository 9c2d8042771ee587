"""Models that programs logged as such, whatever they were fitted with: files, parameters and tags under an id.

They are what MLflow calls logged models: no versions of a declared model, which they become by `octavo models import`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from octavo.errors import Conflict, InvalidRequest, LimitExceeded, NotFound
from octavo.identifiers import new_id
from octavo.operations import Context, Operations
from octavo.stores.ports import Transaction
from octavo.stores.redaction import Redaction
from octavo.training.tracking import names
from octavo.training.tracking.artifacts import ArtifactEntry, RunArtifact, entries_in
from octavo.training.tracking.experiments import named

operations = Operations()

STATES = ("pending", "ready", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A model that was logged.

    Attributes
    ----------
    id : str
        ``m-`` and 32 hexadecimal digits.
    experiment : str
        By name.
    run : str
        The run that made it; empty if none did.
    state : str
        ``pending`` until all files are there, then ``ready``, or ``failed``.
    artifacts : mapping of str to str
        Digests by relative names.
    """

    kind: ClassVar[str] = "logged_model"

    id: str
    name: str
    experiment: str
    created_at: datetime
    updated_at: datetime
    run: str = ""
    type: str = ""
    state: str = "pending"
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    deleted_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateLoggedModel:
    """Log a model; its files follow."""

    experiment: str
    name: str = ""
    run: str = ""
    type: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLoggedModel:
    """Say more of a logged model: add parameters and tags, take tags, or say that it is ready."""

    model_id: str
    state: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    untag: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteLoggedModel:
    model_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowLoggedModel:
    model_id: str
    with_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLoggedModels:
    """The newest first; of all experiments unless some are named."""

    experiments: tuple[str, ...] = ()
    limit: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PutLoggedModelFile:
    model_id: str
    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLoggedModelFile:
    model_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLoggedModelFiles:
    """What is in a folder of a logged model: files and folders, not what is below these."""

    model_id: str
    folder: str = ""


@operations.operation("runs.models.create", request=CreateLoggedModel, permission="runs:write", changes=True)
def create_logged_model(request: CreateLoggedModel, context: Context) -> LoggedModel:
    """Log a model, whose files follow."""
    tx, now, hide = context.transacted, context.clock.now(), Redaction.of(context.config)
    made_id = f"m-{new_id(context.clock).replace('-', '')}"
    model = LoggedModel(
        id=made_id,
        name=hide.text(names.check_title(request.name, field="name")) or made_id,
        experiment=named(tx, request.experiment).name,
        created_at=now,
        updated_at=now,
        run=request.run,
        type=names.check_title(request.type, field="type"),
        params=hide.texts(names.check_texts(request.params, field="params", most=names.MOST_PARAM)),
        tags=hide.texts(names.check_texts(request.tags, field="tags", most=names.MOST_TAG)),
        by=context.principal.name,
    )
    tx.add(model)
    return model


@operations.operation("runs.models.update", request=UpdateLoggedModel, permission="runs:write", changes=True)
def update_logged_model(request: UpdateLoggedModel, context: Context) -> LoggedModel:
    """Add to what is said of a logged model."""
    tx, old = context.transacted, _found(context.transacted, request.model_id)
    if request.state is not None and request.state not in STATES:
        raise InvalidRequest(f"{request.state!r} is no state", field="state", fix=f"send one of: {', '.join(STATES)}")
    hide = Redaction.of(context.config)
    given = hide.texts(names.check_texts(request.params, field="params", most=names.MOST_PARAM))
    changed = [name for name, value in given.items() if old.params.get(name, value) != value]
    if changed:
        raise Conflict(f"parameter {changed[0]!r} of model {old.id} is there already, with another value")
    params = {**old.params, **given}
    tags = {**old.tags, **hide.texts(names.check_texts(request.tags, field="tags", most=names.MOST_TAG))}
    if len(params) > names.MOST_PARAMS or len(tags) > names.MOST_TAGS:
        raise LimitExceeded(f"a model has at most {names.MOST_PARAMS:,} parameters and {names.MOST_TAGS:,} tags")
    new = replace(
        old,
        state=request.state or old.state,
        params=params,
        tags={name: value for name, value in tags.items() if name not in request.untag},
        updated_at=context.clock.now(),
    )
    tx.replace(old, new)
    return new


@operations.operation("runs.models.delete", request=DeleteLoggedModel, permission="runs:write", changes=True)
def delete_logged_model(request: DeleteLoggedModel, context: Context) -> LoggedModel:
    """Put a logged model away."""
    old = _found(context.transacted, request.model_id)
    new = replace(old, deleted_at=context.clock.now())
    context.transacted.replace(old, new)
    return new


@operations.operation("runs.models.show", request=ShowLoggedModel, permission="models:read")
def show_logged_model(request: ShowLoggedModel, context: Context) -> LoggedModel:
    """Show a logged model."""
    return _found(context.transacted, request.model_id, with_deleted=request.with_deleted)


@operations.operation("runs.models.list", request=ListLoggedModels, permission="models:read")
def list_logged_models(request: ListLoggedModels, context: Context) -> tuple[LoggedModel, ...]:
    """List logged models, the newest first."""
    if not 1 <= request.limit <= 10_000:
        raise LimitExceeded(f"limit is {request.limit:,}", field="limit", fix="ask for 1 to 10,000 at once")
    found = context.transacted.find(LoggedModel, newest_first=True, deleted_at=None)
    wanted = [one for one in found if not request.experiments or one.experiment in request.experiments]
    return tuple(wanted[: request.limit])


@operations.operation("runs.models.put", request=PutLoggedModelFile, permission="runs:write", changes=True, long=True)
def put_logged_model_file(request: PutLoggedModelFile, context: Context) -> ArtifactEntry:
    """Keep a file of a logged model."""
    name = names.check_artifact(request.name)
    if len(request.data) > names.MOST_ARTIFACT_BYTES:
        raise LimitExceeded(f"{name} is larger than {names.MOST_ARTIFACT_BYTES:,} bytes", field="data")
    with context.transaction() as tx:
        _loggable(tx, request.model_id)
    digest = context.stores.artifacts.put(request.data)
    with context.transaction() as tx:
        old = _loggable(tx, request.model_id)
        if len(old.artifacts) >= names.MOST_ARTIFACTS:
            raise LimitExceeded(f"model {old.id} has {names.MOST_ARTIFACTS:,} files already")
        tx.replace(old, replace(old, artifacts={**old.artifacts, name: digest}, updated_at=context.clock.now()))
    return ArtifactEntry(name=name, digest=digest)


@operations.operation("runs.models.get", request=GetLoggedModelFile, permission="models:read", long=True)
def get_logged_model_file(request: GetLoggedModelFile, context: Context) -> RunArtifact:
    """Fetch a file of a logged model, verified by its digest."""
    with context.transaction() as tx:
        model = _found(tx, request.model_id)
    digest = model.artifacts.get(request.name)
    if digest is None:
        raise NotFound("file", request.name, model.artifacts)
    return RunArtifact(name=request.name, digest=digest, data=context.stores.artifacts.get(digest))


@operations.operation("runs.models.files", request=ListLoggedModelFiles, permission="models:read")
def list_logged_model_files(request: ListLoggedModelFiles, context: Context) -> tuple[ArtifactEntry, ...]:
    """List the files of a logged model."""
    return entries_in(_found(context.transacted, request.model_id).artifacts, request.folder)


def _loggable(tx: Transaction, model_id: str) -> LoggedModel:
    model = _found(tx, model_id)
    if model.state == "ready":
        raise Conflict(f"model {model.id} is ready, and stays as it is; log another", model_id=model.id)
    return model


def _found(tx: Transaction, model_id: str, *, with_deleted: bool = False) -> LoggedModel:
    model = tx.get(LoggedModel, model_id)
    if model is None or (model.deleted_at is not None and not with_deleted):
        raise NotFound("logged model", model_id)
    return model
