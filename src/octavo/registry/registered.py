"""Models that are registered under a name without being declared in the project: pointers to what was logged.

What MLflow's client registers stands here, with its tags, stages and aliases. It is served by nobody until it is
imported as a version of a declared model (`octavo models import`), where gates, golden rows and signatures begin.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from octavo.errors import Conflict, InvalidRequest, LimitExceeded, NotFound
from octavo.identifiers import new_id
from octavo.operations import Context, Operations
from octavo.stores.ports import Transaction

operations = Operations()

STAGES = ("None", "Staging", "Production", "Archived")
_NAME = re.compile(r"[^/:\x00-\x1f]{1,250}\Z")
_ALIAS = re.compile(r"(?!v\d+\Z|latest\Z)[\w\-.]{1,250}\Z", re.IGNORECASE)
_MOST_TAGS, _MOST_TEXT, _MOST_DESCRIPTION = 200, 5_000, 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model.

    Attributes
    ----------
    source : str
        What it points to, as its client named it: ``models:/m-…`` or ``runs:/…/model`` resolved to where the files are.
    run, logged_model : str
        Whence it comes; empty if from neither.
    stage : str
        One of `STAGES`, for clients that still speak of stages.
    """

    version: int
    source: str
    created_at: datetime
    updated_at: datetime
    run: str = ""
    logged_model: str = ""
    description: str = ""
    stage: str = "None"
    by: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A name with versions.

    Attributes
    ----------
    id : str
        Stays when the name does not.
    newest : int
        The number of the version that was made last; numbers of deleted ones do not come again.
    aliases : mapping of str to int
    deleted_at : datetime or None
        Since when its name is free again.
    """

    kind: ClassVar[str] = "registered_model"

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[RegisteredVersion, ...] = ()
    newest: int = 0
    aliases: Mapping[str, int] = field(default_factory=dict)
    deleted_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.id

    def version(self, number: int) -> RegisteredVersion:
        """A version by its number.

        Raises
        ------
        NotFound
        """
        found = next((one for one in self.versions if one.version == number), None)
        if found is None:
            known = [str(one.version) for one in self.versions]
            raise NotFound(f"version of registered model {self.name!r}", str(number), known)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterModel:
    """Make a name for models that are not declared."""

    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRegistered:
    """Call a registered model otherwise, describe or tag it, or move an alias, to version 0 to remove it.

    Attributes
    ----------
    expect : int or None
        The version that the alias must be naming until now, 0 for none; None if that does not matter.
    """

    name: str
    to: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    untag: tuple[str, ...] = ()
    alias: str | None = None
    version: int | None = None
    expect: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRegistered:
    """Delete a registered model, or one version of it. What was logged stays."""

    name: str
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterVersion:
    """Add a version to a registered model."""

    name: str
    source: str
    run: str = ""
    logged_model: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRegisteredVersion:
    """Describe or tag a version, or move it to a stage.

    Attributes
    ----------
    archives : bool
        Whether other versions in that stage are archived.
    """

    name: str
    version: int
    description: str | None = None
    stage: str | None = None
    archives: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    untag: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRegistered:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRegistered:
    """All registered models, by name."""


@operations.operation("registered.create", request=RegisterModel, permission="models:write", changes=True)
def register_model(request: RegisterModel, context: Context) -> RegisteredModel:
    """Make a name for models that are not declared."""
    tx, now = context.transacted, context.clock.now()
    _check_free(context, request.name)
    made = RegisteredModel(
        id=new_id(context.clock),
        name=request.name,
        created_at=now,
        updated_at=now,
        description=_described(request.description),
        tags=_tagged({}, request.tags, ()),
    )
    tx.add(made)
    return made


@operations.operation("registered.change", request=ChangeRegistered, permission="models:write", changes=True)
def change_registered(request: ChangeRegistered, context: Context) -> RegisteredModel:
    """Change what is said of a registered model."""
    tx, old = context.transacted, find_registered(context.transacted, request.name)
    new = replace(old, tags=_tagged(old.tags, request.tags, request.untag), updated_at=context.clock.now())
    if request.description is not None:
        new = replace(new, description=_described(request.description))
    if request.alias is not None:
        new = _aliased(new, request)
    if request.to is not None and request.to != old.name:
        _check_free(context, request.to)
        new = replace(new, name=request.to)
    tx.replace(old, new)
    return new


@operations.operation("registered.drop", request=DropRegistered, permission="models:write", changes=True)
def drop_registered(request: DropRegistered, context: Context) -> None:
    """Delete a registered model, or one of its versions."""
    tx, old = context.transacted, find_registered(context.transacted, request.name)
    if request.version is None:
        tx.replace(old, replace(old, deleted_at=context.clock.now()))
        return
    gone = old.version(request.version)
    aliases = {alias: number for alias, number in old.aliases.items() if number != gone.version}
    kept = tuple(one for one in old.versions if one.version != gone.version)
    tx.replace(old, replace(old, versions=kept, aliases=aliases, updated_at=context.clock.now()))


@operations.operation("registered.versions.create", request=RegisterVersion, permission="models:write", changes=True)
def register_version(request: RegisterVersion, context: Context) -> RegisteredVersion:
    """Add a version to a registered model."""
    tx, now = context.transacted, context.clock.now()
    old = find_registered(tx, request.name)
    if not request.source or len(request.source) > _MOST_TEXT:
        raise InvalidRequest("a version needs a source", field="source", fix="say where its files are: runs:/RUN/model")
    made = RegisteredVersion(
        version=old.newest + 1,
        source=request.source,
        created_at=now,
        updated_at=now,
        run=request.run,
        logged_model=request.logged_model,
        description=_described(request.description),
        by=context.principal.name,
        tags=_tagged({}, request.tags, ()),
    )
    tx.replace(old, replace(old, versions=(*old.versions, made), newest=made.version, updated_at=now))
    return made


@operations.operation(
    "registered.versions.change", request=ChangeRegisteredVersion, permission="models:write", changes=True
)
def change_registered_version(request: ChangeRegisteredVersion, context: Context) -> RegisteredVersion:
    """Change what is said of a version of a registered model."""
    tx, now = context.transacted, context.clock.now()
    old = find_registered(tx, request.name)
    before = old.version(request.version)
    stage = before.stage if request.stage is None else _stage(request.stage)
    after = replace(
        before,
        stage=stage,
        description=before.description if request.description is None else _described(request.description),
        tags=_tagged(before.tags, request.tags, request.untag),
        updated_at=now,
    )
    archived = request.archives and stage in ("Staging", "Production")
    versions = tuple(
        after
        if one.version == after.version
        else replace(one, stage="Archived", updated_at=now)
        if archived and one.stage == stage
        else one
        for one in old.versions
    )
    tx.replace(old, replace(old, versions=versions, updated_at=now))
    return after


@operations.operation("registered.show", request=ShowRegistered, permission="models:read")
def show_registered(request: ShowRegistered, context: Context) -> RegisteredModel:
    """Show a registered model with its versions."""
    return find_registered(context.transacted, request.name)


@operations.operation("registered.list", request=ListRegistered, permission="models:read")
def list_registered(request: ListRegistered, context: Context) -> tuple[RegisteredModel, ...]:
    """List registered models by name."""
    return tuple(sorted(context.transacted.find(RegisteredModel, deleted_at=None), key=lambda one: one.name))


def find_registered(tx: Transaction, name: str) -> RegisteredModel:
    """A registered model by its name.

    Raises
    ------
    NotFound
    """
    found = tx.find(RegisteredModel, name=name, deleted_at=None, limit=1)
    if not found:
        raise NotFound("registered model", name, [one.name for one in tx.find(RegisteredModel, deleted_at=None)])
    return found[0]


def _check_free(context: Context, name: str) -> None:
    if not _NAME.match(name) or not name.strip():
        raise InvalidRequest(
            f"{name[:40]!r} cannot name a model", field="name", fix="use up to 250 signs, without / and :"
        )
    if name in context.project.models:
        raise Conflict(
            f"{name!r} is declared in the project: its versions come from trainings, or from models that are imported "
            f"(octavo models import PATH --model {name}); register under another name",
            model=name,
        )
    if context.transacted.find(RegisteredModel, name=name, deleted_at=None, limit=1):
        raise Conflict(f"there is a registered model {name!r} already", name=name)


def _aliased(model: RegisteredModel, request: ChangeRegistered) -> RegisteredModel:
    alias = request.alias or ""
    if not _ALIAS.match(alias):
        raise InvalidRequest(
            f"{alias[:40]!r} cannot be an alias", field="alias", fix="use letters, digits, _ - and ., and not v1"
        )
    if request.expect is not None and model.aliases.get(alias, 0) != request.expect:
        raise Conflict(f"the alias {alias!r} of {model.name!r} names version {model.aliases.get(alias, 0)} by now")
    aliases = {name: number for name, number in model.aliases.items() if name != alias}
    if request.version:
        aliases[alias] = model.version(request.version).version
    elif alias not in model.aliases:
        raise NotFound(f"alias of {model.name!r}", alias, model.aliases)
    return replace(model, aliases=aliases)


def _stage(given: str) -> str:
    found = next((stage for stage in STAGES if stage.lower() == given.lower()), None)
    if found is None:
        raise InvalidRequest(f"{given[:40]!r} is no stage", field="stage", fix=f"send one of: {', '.join(STAGES)}")
    return found


def _described(text: str) -> str:
    if len(text) > _MOST_DESCRIPTION:
        raise LimitExceeded(f"the description has more than {_MOST_DESCRIPTION:,} characters", field="description")
    return text


def _tagged(old: Mapping[str, str], new: Mapping[str, str], untag: tuple[str, ...]) -> Mapping[str, str]:
    tags = {name: value for name, value in {**old, **new}.items() if name not in untag}
    if len(tags) > _MOST_TAGS:
        raise LimitExceeded(f"there are more than {_MOST_TAGS} tags", field="tags")
    long = [name for name, value in new.items() if len(name) > 250 or len(value) > _MOST_TEXT]
    if long:
        raise LimitExceeded(f"the tag {long[0][:40]!r} is longer than {_MOST_TEXT:,} characters", field="tags")
    return tags
