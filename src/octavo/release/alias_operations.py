"""What people and programs can do with the aliases of models."""

from dataclasses import dataclass

from octavo.errors import IntegrityError
from octavo.operations import Context, Operations
from octavo.registry.registration import verify_version
from octavo.release import aliases
from octavo.release.aliases import ModelAliases, publish_aliases, version_of

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAliases:
    """The aliases of one model, or of all."""

    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAlias:
    """Have an alias name a version; where `expect` is given, only if it names that one now (0: none)."""

    model: str
    alias: str
    version: int
    expect: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAlias:
    """Have an alias name nothing any more; where `expect` is given, only if it names that version now."""

    model: str
    alias: str
    expect: int | None = None


@operations.operation("models.aliases", request=ListAliases, permission="models:read")
def list_aliases(request: ListAliases, context: Context) -> tuple[ModelAliases, ...]:
    """List the aliases of models, and which versions they name."""
    if request.model is not None:
        return (aliases.aliases_of(context.transacted, context.project.model(request.model).name),)
    return tuple(found for found in context.transacted.find(ModelAliases) if found.versions)


# A long operation: bundles are read, and the document is published after the records are committed.
@operations.operation("models.alias", request=SetAlias, permission="releases:write", changes=True, long=True)
def set_alias(request: SetAlias, context: Context) -> ModelAliases:
    """Have an alias name a version of a model."""
    model = context.project.model(request.model).name
    with context.transaction() as tx:
        version = version_of(tx, model, request.version)
    if problem := verify_version(context, version):
        raise IntegrityError(f"version {request.version} of model {model!r} cannot be served: {problem}")
    state = aliases.point(context, model, request.alias, version=request.version, expect=request.expect)
    publish_aliases(context, model)
    return state


# A long operation: the document is published after the records are committed.
@operations.operation("models.unalias", request=RemoveAlias, permission="releases:write", changes=True, long=True)
def remove_alias(request: RemoveAlias, context: Context) -> ModelAliases:
    """Remove an alias of a model."""
    model = context.project.model(request.model).name
    state = aliases.remove(context, model, request.alias, expect=request.expect)
    publish_aliases(context, model)
    return state
