"""What runs read and made beside their own files: data sets, and models that were logged."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from octavo.errors import LimitExceeded
from octavo.operations import Context, Operations
from octavo.training.tracking import recording

operations = Operations()

_MOST, _MOST_TEXT = 200, 100_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRead:
    """A data set that a run read, as its program described it.

    Attributes
    ----------
    digest : str
        Of the program's own making.
    source_type, source, schema, profile : str
        In the program's own words, mostly JSON.
    tags : mapping of str to str
        Such as ``mlflow.data.context``: ``training``.
    """

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLinks:
    """What a run read and made.

    Attributes
    ----------
    read, made : tuple of str
        Ids of logged models.
    steps : mapping of str to int
        At which step a model was made.
    """

    kind: ClassVar[str] = "run_links"

    run: str
    datasets: tuple[DatasetRead, ...] = ()
    read: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    steps: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.run


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRun:
    """Say what a run read or made; what is said already is not said twice."""

    run: str
    datasets: tuple[DatasetRead, ...] = ()
    read: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowLinks:
    run: str


@operations.operation("runs.link", request=LinkRun, permission="runs:write")
def link_run(request: LinkRun, context: Context) -> RunLinks:
    """Say what a run read or made."""
    tx = context.transacted
    run = recording.loggable(tx, request.run)
    old = tx.get(RunLinks, run.id)
    known = old or RunLinks(run=run.id)
    new = replace(
        known,
        datasets=_joined(known.datasets, request.datasets),
        read=_joined(known.read, request.read),
        made=_joined(known.made, request.made),
        steps={**known.steps, **request.steps},
    )
    if max(map(len, (new.datasets, new.read, new.made))) > _MOST:
        raise LimitExceeded(f"a run has at most {_MOST} data sets and as many models")
    if any(len(one.schema) + len(one.profile) + len(one.source) > _MOST_TEXT for one in request.datasets):
        raise LimitExceeded(f"a data set is described in at most {_MOST_TEXT:,} characters", field="datasets")
    tx.put(new)
    return new


@operations.operation("runs.links", request=ShowLinks, permission="models:read")
def show_links(request: ShowLinks, context: Context) -> RunLinks:
    """Show what a run read and made beside its own files."""
    run = recording.find_run(context.transacted, request.run)
    return context.transacted.get(RunLinks, run.id) or RunLinks(run=run.id)


def _joined(known: tuple[T, ...], more: tuple[T, ...]) -> tuple[T, ...]:
    return (*known, *(one for one in more if one not in known))
