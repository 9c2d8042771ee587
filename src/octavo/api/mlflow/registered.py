"""Models registered under a name, by MLflow's client.

Versions of the project's declared models are listed beside those that its client registered, to be looked at: their
files are bundles, which predictors serve, and no directories of MLflow.
"""

from octavo.api.mlflow.calls import Answer, Call, Method, Pair, Sent, listed, pairs
from octavo.api.mlflow.forms import READ, fits, millis, paged
from octavo.errors import InvalidRequest, NotFound
from octavo.registry.operations import ListModels, ShowModel
from octavo.registry.registered import (
    ChangeRegistered,
    ChangeRegisteredVersion,
    DropRegistered,
    ListRegistered,
    RegisteredModel,
    RegisteredVersion,
    RegisterModel,
    RegisterVersion,
    ShowRegistered,
)
from octavo.registry.versions import ModelVersion
from octavo.release.alias_operations import ListAliases

REGISTER = "models:write"

_OWN = "octavo:/bundles/"


class _OfRegistered(Sent):
    name: str = ""
    new_name: str = ""
    description: str | None = None
    tags: tuple[Pair, ...] = ()
    key: str = ""
    value: str = ""
    alias: str = ""
    version: int | None = None
    source: str = ""
    run_id: str = ""
    model_id: str = ""
    stage: str = ""
    stages: tuple[str, ...] = ()
    archive_existing_versions: bool = False


class _SearchRegistered(Sent):
    filter: str = ""
    max_results: int = 100
    order_by: tuple[str, ...] = ()
    page_token: str = ""


def _registered(model: RegisteredModel) -> Answer:
    return {
        "name": model.name,
        "creation_timestamp": millis(model.created_at),
        "last_updated_timestamp": millis(model.updated_at),
        "description": model.description,
        "tags": listed(model.tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()],
        "latest_versions": [_version(model, one) for one in _latest(model)],
    }


def _latest(model: RegisteredModel, stages: tuple[str, ...] = ()) -> list[RegisteredVersion]:
    """The newest version of each stage."""
    newest = {one.stage: one for one in model.versions}
    wanted = {stage.lower() for stage in stages}
    return [one for stage, one in newest.items() if not wanted or stage.lower() in wanted]


def _version(model: RegisteredModel, version: RegisteredVersion) -> Answer:
    return {
        "name": model.name,
        "version": str(version.version),
        "creation_timestamp": millis(version.created_at),
        "last_updated_timestamp": millis(version.updated_at),
        "user_id": version.by,
        "current_stage": version.stage,
        "description": version.description,
        "source": version.source,
        "run_id": version.run,
        "model_id": version.logged_model,
        "status": "READY",
        "tags": listed(version.tags),
        "aliases": [alias for alias, number in model.aliases.items() if number == version.version],
    }


def _declared(call: Call, name: str) -> RegisteredModel | None:
    """A model that the project declares, as if it had been registered; None if it declares none of the name."""
    if name not in {one.model for one in call(ListModels())}:
        return None
    versions: tuple[ModelVersion, ...] = call(ShowModel(model=name)).versions
    aliases = {alias: number for one in call(ListAliases(model=name)) for alias, number in one.versions.items()}
    made = [one.created_at for one in versions]
    if not made:
        return None
    return RegisteredModel(
        id=name,
        name=name,
        created_at=min(made),
        updated_at=max(made),
        newest=max(one.version for one in versions),
        aliases=aliases,
        versions=tuple(
            RegisteredVersion(
                version=one.version,
                source=f"{_OWN}{one.digest}",
                created_at=one.created_at,
                updated_at=one.created_at,
                run=one.run,
                tags={gate.gate: "passed" if gate.passed else "not passed" for gate in one.gates},
            )
            for one in sorted(versions, key=lambda one: one.version)
        ),
    )


def _find(call: Call, name: str) -> RegisteredModel:
    return _declared(call, name) or call(ShowRegistered(name=name))


def _all(call: Call) -> list[RegisteredModel]:
    own = [_declared(call, one.model) for one in call(ListModels())]
    return sorted([*call(ListRegistered()), *(one for one in own if one is not None)], key=lambda one: one.name)


def _create_registered(sent: _OfRegistered, call: Call) -> Answer:
    made = call(RegisterModel(name=sent.name, description=sent.description or "", tags=pairs(sent.tags)))
    return {"registered_model": _registered(made)}


def _get_registered(sent: _OfRegistered, call: Call) -> Answer:
    return {"registered_model": _registered(_find(call, sent.name))}


def _rename_registered(sent: _OfRegistered, call: Call) -> Answer:
    return {"registered_model": _registered(call(ChangeRegistered(name=sent.name, to=sent.new_name)))}


def _describe_registered(sent: _OfRegistered, call: Call) -> Answer:
    changed = call(ChangeRegistered(name=sent.name, description=sent.description or ""))
    return {"registered_model": _registered(changed)}


def _drop_registered(sent: _OfRegistered, call: Call) -> Answer:
    call(DropRegistered(name=sent.name))
    return {}


def _search_registered(sent: _SearchRegistered, call: Call) -> Answer:
    found = [one for one in _all(call) if fits(sent.filter, name=one.name, tags=one.tags)]
    if any(one.lower().startswith("last_updated") or one.lower().startswith("timestamp") for one in sent.order_by):
        found.sort(key=lambda one: one.updated_at, reverse="desc" in sent.order_by[0].lower())
    elif sent.order_by and "desc" in sent.order_by[0].lower():
        found.reverse()
    page, more = paged(found, token=sent.page_token, most=sent.max_results)
    return {"registered_models": [_registered(one) for one in page], **more}


def _latest_versions(sent: _OfRegistered, call: Call) -> Answer:
    model = _find(call, sent.name)
    return {"model_versions": [_version(model, one) for one in _latest(model, tuple(sent.stages))]}


def _tag_registered(sent: _OfRegistered, call: Call) -> Answer:
    call(ChangeRegistered(name=sent.name, tags={sent.key: sent.value}))
    return {}


def _untag_registered(sent: _OfRegistered, call: Call) -> Answer:
    call(ChangeRegistered(name=sent.name, untag=(sent.key,)))
    return {}


def _set_alias(sent: _OfRegistered, call: Call) -> Answer:
    call(ChangeRegistered(name=sent.name, alias=sent.alias, version=sent.version))
    return {}


def _delete_alias(sent: _OfRegistered, call: Call) -> Answer:
    call(ChangeRegistered(name=sent.name, alias=sent.alias, version=0))
    return {}


def _by_alias(sent: _OfRegistered, call: Call) -> Answer:
    model = _find(call, sent.name)
    if sent.alias not in model.aliases:
        raise NotFound(f"alias of {model.name!r}", sent.alias, model.aliases)
    return {"model_version": _version(model, model.version(model.aliases[sent.alias]))}


def _create_version(sent: _OfRegistered, call: Call) -> Answer:
    made = call(
        RegisterVersion(
            name=sent.name,
            source=sent.source,
            run=sent.run_id,
            logged_model=sent.model_id,
            description=sent.description or "",
            tags=pairs(sent.tags),
        )
    )
    return {"model_version": _version(call(ShowRegistered(name=sent.name)), made)}


def _get_version(sent: _OfRegistered, call: Call) -> Answer:
    model = _find(call, sent.name)
    return {"model_version": _version(model, model.version(_number(sent)))}


def _describe_version(sent: _OfRegistered, call: Call) -> Answer:
    return _changed(
        sent, call, ChangeRegisteredVersion(name=sent.name, version=_number(sent), description=sent.description)
    )


def _stage_version(sent: _OfRegistered, call: Call) -> Answer:
    asked = ChangeRegisteredVersion(
        name=sent.name, version=_number(sent), stage=sent.stage, archives=sent.archive_existing_versions
    )
    return _changed(sent, call, asked)


def _tag_version(sent: _OfRegistered, call: Call) -> Answer:
    call(ChangeRegisteredVersion(name=sent.name, version=_number(sent), tags={sent.key: sent.value}))
    return {}


def _untag_version(sent: _OfRegistered, call: Call) -> Answer:
    call(ChangeRegisteredVersion(name=sent.name, version=_number(sent), untag=(sent.key,)))
    return {}


def _drop_version(sent: _OfRegistered, call: Call) -> Answer:
    call(DropRegistered(name=sent.name, version=_number(sent)))
    return {}


def _where(sent: _OfRegistered, call: Call) -> Answer:
    version = _find(call, sent.name).version(_number(sent))
    if version.source.startswith(_OWN):
        raise InvalidRequest(
            f"version {version.version} of {sent.name!r} is a bundle of Octavo's, and no directory of MLflow",
            field="name",
            fix="ask a predictor for its predictions, or fetch it by: octavo models version",
        )
    return {"artifact_uri": version.source}


def _search_versions(sent: _SearchRegistered, call: Call) -> Answer:
    found = [
        (model, one)
        for model in _all(call)
        for one in reversed(model.versions)
        if fits(sent.filter, name=model.name, run_id=one.run, source_path=one.source, tags=one.tags)
    ]
    page, more = paged(found, token=sent.page_token, most=sent.max_results)
    return {"model_versions": [_version(model, one) for model, one in page], **more}


def _changed(sent: _OfRegistered, call: Call, asked: ChangeRegisteredVersion) -> Answer:
    changed: RegisteredVersion = call(asked)
    return {"model_version": _version(call(ShowRegistered(name=sent.name)), changed)}


def _number(sent: _OfRegistered) -> int:
    if sent.version is None:
        raise InvalidRequest("version is missing", field="version", fix="send its number")
    return sent.version


METHODS = (
    Method("POST", "registered-models/create", REGISTER, _OfRegistered, _create_registered),
    Method("GET", "registered-models/get", READ, _OfRegistered, _get_registered),
    Method("GET", "registered-models/search", READ, _SearchRegistered, _search_registered),
    Method("POST", "registered-models/rename", REGISTER, _OfRegistered, _rename_registered),
    Method("PATCH", "registered-models/update", REGISTER, _OfRegistered, _describe_registered),
    Method("DELETE", "registered-models/delete", REGISTER, _OfRegistered, _drop_registered),
    Method("POST", "registered-models/get-latest-versions", READ, _OfRegistered, _latest_versions),
    Method("GET", "registered-models/get-latest-versions", READ, _OfRegistered, _latest_versions),
    Method("POST", "registered-models/set-tag", REGISTER, _OfRegistered, _tag_registered),
    Method("DELETE", "registered-models/delete-tag", REGISTER, _OfRegistered, _untag_registered),
    Method("POST", "registered-models/alias", REGISTER, _OfRegistered, _set_alias),
    Method("DELETE", "registered-models/alias", REGISTER, _OfRegistered, _delete_alias),
    Method("GET", "registered-models/alias", READ, _OfRegistered, _by_alias),
    Method("POST", "model-versions/create", REGISTER, _OfRegistered, _create_version),
    Method("GET", "model-versions/get", READ, _OfRegistered, _get_version),
    Method("GET", "model-versions/search", READ, _SearchRegistered, _search_versions),
    Method("PATCH", "model-versions/update", REGISTER, _OfRegistered, _describe_version),
    Method("POST", "model-versions/transition-stage", REGISTER, _OfRegistered, _stage_version),
    Method("POST", "model-versions/set-tag", REGISTER, _OfRegistered, _tag_version),
    Method("DELETE", "model-versions/delete-tag", REGISTER, _OfRegistered, _untag_version),
    Method("DELETE", "model-versions/delete", REGISTER, _OfRegistered, _drop_version),
    Method("GET", "model-versions/get-download-uri", READ, _OfRegistered, _where),
)
