"""Aliases, names of versions that outlast them (``arrival_delay@champion``), in the records and as predictors follow.

An alias is moved by compare and swap, so of two who move it at once one is told so. What the records say of a model is
published as one signed document under a sequence that rises, as a deployment's traffic is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from octavo.definitions.types import check_name
from octavo.errors import Conflict, GateFailed, InvalidDefinition, InvalidRequest, NotFound
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.documents import publish, published_number
from octavo.release.history import NamedFrom
from octavo.stores.ports import Transaction

PURPOSE = "octavo/alias-manifest/v1"
FOLDER = "aliases/"
_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAliases:
    """The aliases of one model.

    Attributes
    ----------
    versions : mapping of alias to version
    sequence : int
        Of the document that follows from this.
    """

    kind: ClassVar[str] = "model_aliases"

    model: str
    versions: Mapping[str, int]
    sequence: int

    @property
    def key(self) -> str:
        return self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVersion:
    """A version that an alias names, and its bundle."""

    alias: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasManifest:
    """What predictors verify and follow.

    Attributes
    ----------
    sequence : int
        Rises with every change of the model's aliases; a predictor never goes back to a lower one.
    """

    project: str
    model: str
    sequence: int
    named: tuple[NamedVersion, ...]
    published_at_us: int


def point(context: Context, model: str, alias: str, *, version: int, expect: int | None = None) -> ModelAliases:
    """Have an alias name a version.

    Parameters
    ----------
    expect : int or None
        The version that it must be naming until now, 0 for none; None if that does not matter.

    Raises
    ------
    InvalidRequest
        If it cannot be an alias.
    NotFound
        If there is no such version.
    GateFailed
        If the version did not pass a gate.
    Conflict
        If the alias names another version than expected.
    """
    _check_alias(alias)
    with context.transaction() as tx:
        found = version_of(tx, model, version)
        if failed := found.held_by(context.clock.now()):
            raise GateFailed(
                f"{model} {version} did not pass {failed[0].gate} ({failed[0].evidence}); name one that did",
                gate=failed[0].gate,
            )
        before = _expected(tx, model, alias, expect=expect)
        if len({**before.versions, alias: version}) > _MOST:
            raise Conflict(f"model {model!r} has {_MOST} aliases already; remove one that nobody calls by")
        return _changed(context, tx, before, {**before.versions, alias: version})


def remove(context: Context, model: str, alias: str, *, expect: int | None = None) -> ModelAliases:
    """Have an alias name nothing any more.

    Raises
    ------
    NotFound
        If there is no such alias.
    Conflict
        If it names another version than expected.
    """
    with context.transaction() as tx:
        before = _expected(tx, model, alias, expect=expect)
        if alias not in before.versions:
            raise NotFound(f"alias of model {model!r}", alias, before.versions)
        return _changed(context, tx, before, {name: at for name, at in before.versions.items() if name != alias})


def aliases_of(tx: Transaction, model: str) -> ModelAliases:
    """The aliases of a model, perhaps none."""
    return tx.get(ModelAliases, model) or ModelAliases(model=model, versions={}, sequence=0)


def version_of(tx: Transaction, model: str, version: int) -> ModelVersion:
    """A version in the registry.

    Raises
    ------
    NotFound
    """
    found = tx.get(ModelVersion, f"{model}/{version}")
    if found is None:
        known = [str(one.version) for one in tx.find(ModelVersion, model=model)]
        raise NotFound(f"version of model {model!r}", str(version), known)
    return found


def publish_aliases(context: Context, model: str) -> int:
    """Publish what the records say of a model's aliases, unless it is published already; the sequence that now is."""
    with context.transaction() as tx:
        # Inside the transaction, so that of two processes that publish the later state wins.
        state = aliases_of(tx, model)
        if state.sequence > published_number(context.stores.artifacts, document_name(model)):
            manifest = AliasManifest(
                project=context.project.name,
                model=model,
                sequence=state.sequence,
                named=tuple(
                    NamedVersion(alias=alias, version=number, digest=version_of(tx, model, number).digest)
                    for alias, number in sorted(state.versions.items())
                ),
                published_at_us=context.clock.now_us(),
            )
            publish(context, manifest, name=document_name(model), purpose=PURPOSE)
    return state.sequence


def document_name(model: str) -> str:
    """The name under which a model's aliases are published among the artifacts."""
    return f"{FOLDER}{model}.json"


def _expected(tx: Transaction, model: str, alias: str, *, expect: int | None) -> ModelAliases:
    """The aliases as they are, if one of them is as expected."""
    found = aliases_of(tx, model)
    names = found.versions.get(alias, 0)
    if expect is not None and names != expect:
        now, expected = (f"version {number}" if number else "no version" for number in (names, expect))
        raise Conflict(
            f"{model}@{alias} names {now}, not {expected} as expected; look at it and decide anew",
            version=names,
        )
    return found


def _changed(context: Context, tx: Transaction, before: ModelAliases, versions: Mapping[str, int]) -> ModelAliases:
    if versions == before.versions:
        return before
    after = replace(before, versions=versions, sequence=before.sequence + 1)
    if before.sequence:
        tx.replace(before, after)
    else:
        tx.add(after)
    at, by = context.clock.now(), context.principal.name
    tx.add(NamedFrom(model=after.model, sequence=after.sequence, at=at, by=by, versions=versions))
    return after


def _check_alias(alias: str) -> None:
    try:
        check_name(alias, what="version of a model")
    except InvalidDefinition as error:
        raise InvalidRequest(error.message, field="alias", fix="give a name such as champion") from error
