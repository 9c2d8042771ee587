"""All that a project's module declares, checked as a whole."""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import msgspec

from octavo.definitions.composites import Composite
from octavo.definitions.deployments import Deployment
from octavo.definitions.derived import with_inputs
from octavo.definitions.features import FeatureView
from octavo.definitions.models import Model
from octavo.definitions.refusals import check_together
from octavo.definitions.sources import Entity, Source
from octavo.definitions.unsaid import is_unsaid
from octavo.errors import ConfigurationError, InvalidDefinition, NotFound, OctavoError

Declared = Source | FeatureView | Model | Deployment | Composite
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything declared in one module, by name.

    Attributes
    ----------
    code : mapping of file name to text
        The module's source as loaded; it travels in bundles, so that on-demand features stay what they were.
    """

    name: str
    code: Mapping[str, str]
    entities: Mapping[str, Entity]
    sources: Mapping[str, Source]
    views: Mapping[str, FeatureView]
    models: Mapping[str, Model]
    deployments: Mapping[str, Deployment]
    composites: Mapping[str, Composite]

    def source(self, name: str) -> Source:
        return _named("source", name, self.sources)

    def view(self, name: str) -> FeatureView:
        return _named("feature view", name, self.views)

    def model(self, name: str) -> Model:
        return _named("model", name, self.models)

    def deployment(self, name: str) -> Deployment:
        return _named("deployment", name, self.deployments)

    def composite(self, name: str) -> Composite:
        return _named("composite", name, self.composites)

    def documents(self) -> dict[str, bytes]:
        """Each definition as canonical JSON under ``kind/name``: what `plan` compares and `apply` records."""
        groups: dict[str, Mapping[str, object]] = {
            "entity": self.entities,
            "source": self.sources,
            "view": self.views,
            "model": self.models,
            "deployment": self.deployments,
            "composite": self.composites,
        }
        return {
            f"{kind}/{name}": msgspec.json.encode(document(definition), order="deterministic")
            for kind, group in groups.items()
            for name, definition in group.items()
        }


def document(definition: object) -> object:
    """A definition as plain data: functions by the digest of their source, references to others by name."""
    plain: dict[str, object] = {}
    for field in _fields(definition):
        value = getattr(definition, field)
        if field == "source_code":
            plain["code"] = hashlib.sha256(str(value).encode()).hexdigest()[:16]
        elif not (callable(value) or is_unsaid(definition, field)):
            plain[field] = _plain(value)
    return plain


def _fields(definition: object) -> Iterable[str]:
    return tuple(getattr(type(definition), "__dataclass_fields__", ()))


def _plain(value: object) -> object:
    if isinstance(value, Entity | Source | Model | Deployment):
        return value.name
    if isinstance(value, FeatureView):
        return f"view {value.name}"
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return document(value) if _fields(value) else value


def load_project(path: Path, *, name: str) -> Project:
    """Run a project's module and collect what it declares.

    Raises
    ------
    ConfigurationError
        If the file is absent or fails to run.
    InvalidDefinition
        If two things share a name, or something refers to what is not declared.
    """
    if not path.is_file():
        raise ConfigurationError(
            f"the project's module {path} does not exist; octavo.toml names it under [project] module"
        )
    return collect(_run(path), name=name, code={path.name: path.read_text(encoding="utf-8")})


def collect(module: ModuleType, *, name: str, code: Mapping[str, str]) -> Project:
    """Collect the definitions in a module, those they refer to included."""
    found = list(vars(module).values())
    composites = _by_name("composite", (d for d in found if isinstance(d, Composite)))
    deployments = _by_name(
        "deployment",
        [*(d for d in found if isinstance(d, Deployment)), *(d for c in composites.values() for d in c.deployments)],
    )
    if both := sorted(composites.keys() & deployments.keys()):
        raise InvalidDefinition(f"{both[0]!r} is a composite and a deployment; callers ask either by its name alone")
    models = _by_name(
        "model",
        [*(d for d in found if isinstance(d, Model)), *(m for d in deployments.values() for m in _models_of(d))],
    )
    views = _by_name(
        "feature view",
        [*(d for d in found if isinstance(d, FeatureView)), *(v for m in models.values() for v in m.views)],
    )
    sources = _by_name(
        "source",
        with_inputs(
            [
                *(d for d in found if isinstance(d, Source)),
                *(v.source for v in views.values()),
                *(m.label.source for m in models.values()),
            ]
        ),
    )
    entities = _by_name(
        "entity", [*(d for d in found if isinstance(d, Entity)), *(e for v in views.values() for e in v.entities)]
    )
    check_together(views.values(), models.values())
    return Project(
        name=name,
        code=code,
        entities=entities,
        sources=sources,
        views=views,
        models=models,
        deployments=deployments,
        composites=composites,
    )


def _models_of(deployment: Deployment) -> list[Model]:
    """Its own, and those of its experiments."""
    arms = [arm for experiment in deployment.experiments for arm in experiment.arms]
    return [deployment.model, *(arm.model for arm in arms if arm.model is not None)]


def _by_name(kind: str, definitions: Iterable[_T]) -> dict[str, _T]:
    named: dict[str, _T] = {}
    for definition in definitions:
        name: str = definition.name  # type: ignore[attr-defined]  # every definition has a name
        if named.setdefault(name, definition) is not definition:
            raise InvalidDefinition(f"two {kind}s are named {name!r}; each needs a name of its own")
    return named


def _named(kind: str, name: str, group: Mapping[str, _T]) -> _T:
    if name not in group:
        raise NotFound(kind, name, group)
    return group[name]


def _run(path: Path) -> ModuleType:
    module_name = f"octavo_project_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except OctavoError:
        raise
    except Exception as error:  # a user's module may fail in any way; this is a process boundary
        raise ConfigurationError(f"{path} failed to load: {type(error).__name__}: {error}") from error
    return module
