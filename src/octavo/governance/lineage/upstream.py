"""One step up: what a thing came of."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from octavo.definitions.derived import SQLSource
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.governance.lineage.facts import Facts, source_in, tables_read, views_in
from octavo.governance.lineage.nodes import Neighbour, NodeId, NodeKind
from octavo.governance.lineage.words import counted, parts_of, share_words
from octavo.monitoring.predictions import PredictionDetails, show_prediction
from octavo.registry.versions import ModelVersion
from octavo.training.runs import Run

K = NodeKind


def upstream(facts: Facts, node: NodeId, is_start: bool = True) -> list[Neighbour]:
    """What a thing came of; nothing for a source of events, or for what is on record no more."""
    step = _STEPS.get(node.kind)
    return [] if step is None else list(step(facts, node.name, is_start))


def _of_source(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    source = facts.project.sources.get(name)
    for one in source.inputs if isinstance(source, SQLSource) else ():
        yield _neighbour(K.SOURCE, one.name, how="selected by SQL")


def _of_view(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    view = facts.project.views.get(name)
    if view is not None:
        yield _neighbour(K.SOURCE, view.source.name, how="computed from its events")
        return
    sources = {views_in(snapshot).get(name, "") for snapshot in facts.datasets()}
    for source in sorted(sources - {""}):
        yield _neighbour(K.SOURCE, source, how="computed from its events")


def _of_model(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    model = facts.project.models.get(name)
    if model is None:
        return
    for view in model.views:
        yield _neighbour(K.VIEW, view.name, how="declared as inputs")
    yield _neighbour(K.SOURCE, model.label.source.name, how=f"its {model.label.column} is the label")


def _of_dataset(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    snapshot = facts.get(DatasetSnapshot, name)
    if snapshot is None:
        return
    versions = dict(tables_read(snapshot))
    for view, source in views_in(snapshot).items():
        yield _neighbour(K.VIEW, view, how=_at_version(versions.get(source)))
    for table in snapshot.recipe.spine.tables.values():
        if source := source_in(table):
            yield _neighbour(K.SOURCE, source, how=f"its rows, {_at_version(versions.get(source))}")


def _of_run(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    run = facts.get(Run, name)
    if run is None:
        return
    if run.dataset:
        rows = f"{counted(run.rows, 'row')}" if run.rows else ""
        yield _neighbour(K.DATASET, run.dataset, how="trained on", about=rows)
    if run.parent:
        yield _neighbour(K.RUN, run.parent, how="part of")
    if run.model and facts.get(DatasetSnapshot, run.dataset) is None:  # else the dataset tells it as it was
        yield _neighbour(K.MODEL, run.model, how="as declared")


def _of_version(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    version = facts.get(ModelVersion, name)
    if version is None:
        return
    run = facts.get(Run, version.run)
    yield _neighbour(K.RUN, version.run, how="made by", about="" if run is None else str(run.status))


def _of_deployment(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    for version, service in parts_of(facts.served(name)).items():
        yield _neighbour(K.VERSION, version, how=share_words(service))


def _of_composite(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    version = facts.composite(name)
    for node in () if version is None else version.plan.nodes:
        if node.deployment:
            yield _neighbour(K.DEPLOYMENT, node.deployment, how=f"node {node.name}")


def _of_predictions(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    deployment, _, version = name.partition("/")
    if version:
        yield _neighbour(K.VERSION, version, how="answered by")
        yield _neighbour(K.DEPLOYMENT, deployment, how="asked of", is_end=True)
    else:
        yield _neighbour(K.COMPOSITE, deployment, how="asked of")


def _of_prediction(facts: Facts, name: str, is_start: bool) -> Iterator[Neighbour]:
    found = show_prediction(facts.context.stores, facts.project, name)
    summary = found.summary
    if not summary.model:
        yield _neighbour(K.COMPOSITE, found.deployment, how="asked of", is_end=True)
        for node in facts.nodes_of(name):
            yield _neighbour(K.PREDICTION, node, how="one of its nodes")
        return
    yield _neighbour(K.VERSION, f"{summary.model}/{summary.version}", how=f"answered by, {summary.arm}")
    if found.deployment in facts.deployments():
        yield _neighbour(K.DEPLOYMENT, found.deployment, how="asked of", is_end=True)
    for view, how in _views_read(facts, found).items():
        yield _neighbour(K.VIEW, view, how=how)


def _views_read(facts: Facts, found: PredictionDetails) -> Mapping[str, str]:
    """The views that the inputs of a prediction were read from, with how fresh these were."""
    model = facts.project.models.get(found.summary.model)
    views = () if model is None else model.views
    read: dict[str, str] = {}
    for view in views:
        statuses = Counter(one.status for one in found.inputs if one.name.startswith(f"{view.name}__"))
        if statuses:
            others = ", ".join(f"{n} {status}" for status, n in sorted(statuses.items()) if status != "present")
            read[view.name] = counted(sum(statuses.values()), "input") + (f", {others}" if others else "")
    return read


def _at_version(version: int | None) -> str:
    if version is None:
        return ""
    return f"table version {version}" if version >= 0 else "a table that did not exist"


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
    K.PREDICTIONS: _of_predictions,
    K.PREDICTION: _of_prediction,
}
