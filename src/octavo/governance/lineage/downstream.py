"""One step down: what came of a thing."""

from collections.abc import Callable, Iterator, Mapping

from octavo.definitions.derived import SQLSource
from octavo.errors import NotFound
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.governance.lineage.facts import Counted, Facts, tables_read, views_in
from octavo.governance.lineage.nodes import Neighbour, NodeId, NodeKind
from octavo.governance.lineage.words import counted, parts_of, share_words
from octavo.monitoring.predictions import show_prediction
from octavo.registry.versions import ModelVersion
from octavo.release.composites import CompositeState
from octavo.training.runs import Run

K = NodeKind


def downstream(facts: Facts, node: NodeId, is_start: bool = True) -> list[Neighbour]:
    """What came of a thing; nothing for the end of it all."""
    step = _STEPS.get(node.kind)
    return [] if step is None else list(step(facts, node.name, is_start))


def _of_source(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for source in facts.project.sources.values():
        if isinstance(source, SQLSource) and any(one.name == name for one in source.inputs):
            yield _neighbour(K.SOURCE, source.name, how="selected by SQL")
    for view in facts.project.views.values():
        if view.source.name == name:
            yield _neighbour(K.VIEW, view.name, how="computed from its events")
    for model in facts.project.models.values():
        if model.label.source.name == name:
            yield _neighbour(K.MODEL, model.name, how=f"its {model.label.column} is the label")
    for snapshot in facts.datasets():
        for read, version in tables_read(snapshot):
            if read == name:
                how = f"table version {version}"
                yield _neighbour(K.DATASET, snapshot.digest, how=how, about=counted(snapshot.rows, "row"))


def _of_view(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for model in facts.project.models.values():
        if any(view.name == name for view in model.views):
            yield _neighbour(K.MODEL, model.name, how="declared as inputs")
    for snapshot in facts.datasets():
        if name in views_in(snapshot):
            yield _neighbour(K.DATASET, snapshot.digest, how="its columns", about=counted(snapshot.rows, "row"))


def _of_model(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for version in facts.find(ModelVersion, model=name):
        if is_start or not _is_told_by_its_dataset(facts, version):
            yield _version(version, how="as declared")


def _is_told_by_its_dataset(facts: Facts, version: ModelVersion) -> bool:
    """Whether what a version came of is on record as it was, and not only as it is declared now."""
    run = facts.get(Run, version.run)
    return run is not None and facts.get(DatasetSnapshot, run.dataset) is not None


def _of_dataset(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for run in facts.find(Run, dataset=name):
        yield _neighbour(K.RUN, run.id, how="trained on", about=str(run.status))


def _of_run(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for version in facts.find(ModelVersion, run=name):
        yield _version(version, how="made")
    for child in facts.find(Run, parent=name):
        yield _neighbour(K.RUN, child.id, how="part of", about=str(child.status))


def _of_version(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for deployment in facts.deployments():
        part = parts_of(facts.served(deployment)).get(name)
        if part is not None:
            yield _neighbour(K.DEPLOYMENT, deployment, how=share_words(part))
    model, _, number = name.rpartition("/")
    for found in facts.counts(model=model, version=int(number)):
        yield _predictions(found)


def _of_deployment(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for state in facts.find(CompositeState):
        version = facts.composite(state.composite)
        nodes = () if version is None else version.plan.nodes
        for node in nodes:
            if node.deployment == name:
                yield _neighbour(K.COMPOSITE, state.composite, how=f"node {node.name}")
    for found in facts.counts(deployment=name) if is_start else ():  # else they are told by the versions
        yield _predictions(found)


def _of_composite(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    if count := sum(found.count for found in facts.counts(deployment=name)):
        yield _answered(name, count)


def _of_prediction(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    try:
        found = show_prediction(facts.context.stores, facts.project, name)
    except NotFound:
        return
    if found.parent:
        yield _neighbour(K.PREDICTION, found.parent, how="a node of")


def _version(version: ModelVersion, *, how: str) -> Neighbour:
    passed = "passed its gates" if version.passed else "failed a gate"
    return _neighbour(K.VERSION, version.key, how=how, about=passed)


def _predictions(found: Counted) -> Neighbour:
    return _answered(f"{found.deployment}/{found.model}/{found.version}", found.count)


def _answered(name: str, count: int) -> Neighbour:
    return _neighbour(K.PREDICTIONS, name, how="answered", about=counted(count, "prediction"))


def _neighbour(kind: NodeKind, name: str, *, how: str = "", about: str = "", is_end: bool = False) -> Neighbour:
    return Neighbour(id=NodeId(kind=kind, name=name), how=how, about=about, is_end=is_end)


_STEPS: Mapping[NodeKind, Callable[[Facts, str, bool], Iterator[Neighbour]]] = {
    K.SOURCE: _of_source,
    K.VIEW: _of_view,
    K.MODEL: _of_model,
    K.DATASET: _of_dataset,
    K.RUN: _of_run,
    K.VERSION: _of_version,
    K.DEPLOYMENT: _of_deployment,
    K.COMPOSITE: _of_composite,
    K.PREDICTION: _of_prediction,
}
