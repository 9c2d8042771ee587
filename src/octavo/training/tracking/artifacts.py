"""Files of runs: kept by digest, named within the run."""

from collections.abc import Mapping
from dataclasses import dataclass

from octavo.errors import Conflict, InvalidRequest, LimitExceeded, NotFound
from octavo.operations import Context, Operations
from octavo.training.tracking import names, recording

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRunArtifact:
    """Keep a file of a run; again under the same name it takes the place of the former.

    Attributes
    ----------
    name : str
        Relative, such as ``plots/roc.svg``; what begins with ``octavo/`` is Octavo's own.
    data : bytes
        In JSON as base64.
    """

    run: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRunArtifact:
    run: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRunArtifacts:
    """What is in a folder of a run's artifacts: files and folders, not what is below these; all without `folder`."""

    run: str
    folder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArtifact:
    """A file of a run; in JSON `data` is base64."""

    name: str
    digest: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEntry:
    """A file of a run, or a folder, which has no digest.

    Attributes
    ----------
    name : str
        From the top of the run's artifacts.
    """

    name: str
    digest: str = ""

    @property
    def is_folder(self) -> bool:
        return not self.digest


@operations.operation("runs.put", request=PutRunArtifact, permission="runs:write", changes=True, long=True)
def put_artifact(request: PutRunArtifact, context: Context) -> ArtifactEntry:
    """Keep a file of a run."""
    name = names.check_artifact(request.name)
    if name.startswith(names.RESERVED) or f"{name}/" == names.RESERVED:
        raise InvalidRequest(f"{name!r} is a name of Octavo's own", field="name", fix="choose another folder")
    if len(request.data) > names.MOST_ARTIFACT_BYTES:
        raise LimitExceeded(
            f"{name} has {len(request.data):,} bytes, and may have {names.MOST_ARTIFACT_BYTES:,}",
            field="data",
            fix="log where it is instead, as a tag",
        )
    with context.transaction() as tx:
        recording.loggable(tx, request.run)
    digest = context.stores.artifacts.put(request.data)
    with context.transaction() as tx:
        tx.put(recording.with_artifact(recording.loggable(tx, request.run), name, digest))
    return ArtifactEntry(name=name, digest=digest)


@operations.operation("runs.artifact", request=GetRunArtifact, permission="models:read", long=True)
def get_artifact(request: GetRunArtifact, context: Context) -> RunArtifact:
    """Fetch a file of a run, verified by its digest."""
    with context.transaction() as tx:
        run = recording.find_run(tx, request.run)
    digest = run.artifacts.get(request.name)
    if digest is None:
        raise NotFound("artifact", request.name, run.artifacts)
    return RunArtifact(name=request.name, digest=digest, data=context.stores.artifacts.get(digest))


@operations.operation("runs.artifacts", request=ListRunArtifacts, permission="models:read")
def list_artifacts(request: ListRunArtifacts, context: Context) -> tuple[ArtifactEntry, ...]:
    """List the files of a run."""
    with context.transaction() as tx:
        run = recording.find_run(tx, request.run)
    if request.folder is None:
        return tuple(ArtifactEntry(name=name, digest=digest) for name, digest in run.artifacts.items())
    return entries_in(run.artifacts, request.folder)


def entries_in(artifacts: Mapping[str, str], folder: str) -> tuple[ArtifactEntry, ...]:
    """The files and folders in a folder, by their digests; the empty name is the top."""
    prefix = f"{names.check_artifact(folder)}/" if folder else ""
    found: dict[str, ArtifactEntry] = {}
    for name, digest in artifacts.items():
        if name.startswith(prefix):
            first, deeper, _ = name.removeprefix(prefix).partition("/")
            found[f"{prefix}{first}"] = ArtifactEntry(name=f"{prefix}{first}", digest="" if deeper else digest)
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRunArtifact:
    """Take a file from a run; its bytes stay in the store."""

    run: str
    name: str


@operations.operation("runs.drop", request=DropRunArtifact, permission="runs:write", changes=True)
def drop_artifact(request: DropRunArtifact, context: Context) -> None:
    """Take a file from a run."""
    run = recording.loggable(context.transacted, request.run)
    if request.name not in run.artifacts:
        raise NotFound("artifact", request.name, run.artifacts)
    if request.name.startswith(names.RESERVED):
        raise Conflict(f"{request.name!r} is part of the record of run {run.id}; it stays", run=run.id)
    context.transacted.put(recording.without_artifact(run, request.name))
