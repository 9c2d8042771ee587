"""From a node, what it came of and what came of it, so many steps far."""

import re
from collections.abc import Callable, Iterable, Iterator

from octavo.errors import InvalidRequest, NotFound
from octavo.features.datasets.snapshots import find_dataset
from octavo.governance.lineage.downstream import downstream
from octavo.governance.lineage.facts import Facts
from octavo.governance.lineage.nodes import Lineage, LineageEdge, LineageNode, Neighbour, NodeId, NodeKind, parse_kind
from octavo.governance.lineage.upstream import upstream
from octavo.monitoring.predictions import answer_of
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.composites import CompositeState
from octavo.training.runs import Run

MOST_NODES = 400
DEEPEST = 20
K = NodeKind
_VERSION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*/[0-9]{1,9}\Z")


def lineage_of(context: Context, node: str, *, up: int, down: int) -> Lineage:
    """What a node came of, `up` steps far, and what came of it, `down` steps far.

    Raises
    ------
    NotFound
        If there is no such thing.
    InvalidRequest
        If the node names several things, or the steps are out of range.
    """
    if not (0 <= up <= DEEPEST and 0 <= down <= DEEPEST):
        raise InvalidRequest("that is too far", field="depth", fix=f"ask for 0 to {DEEPEST} steps")
    facts = Facts(context)
    start = find_node(facts, node)
    walk = _Walk(facts, start)
    walk.go(upstream, steps=up, towards=-1)
    walk.go(downstream, steps=down, towards=1)
    return walk.found()


class _Walk:
    """A walk in breadth, in both directions."""

    def __init__(self, facts: Facts, start: NodeId) -> None:
        self._facts = facts
        self._start = start
        self._nodes = {start: LineageNode(node=str(start), kind=start.kind, name=start.name, distance=0)}
        self._edges: dict[tuple[str, str], LineageEdge] = {}
        self._has_more = False

    def go(self, step: Callable[[Facts, NodeId, bool], list[Neighbour]], *, steps: int, towards: int) -> None:
        edge, seen = [self._start], {self._start}
        for distance in range(1, steps + 1):
            following = []
            for node in edge:
                for neighbour in step(self._facts, node, distance == 1):
                    if not self._note(node, neighbour, distance=distance * towards):
                        return
                    if neighbour.id not in seen and not neighbour.is_end:
                        seen.add(neighbour.id)
                        following.append(neighbour.id)
            edge = following

    def found(self) -> Lineage:
        nodes = sorted(self._nodes.values(), key=lambda node: (abs(node.distance), node.distance))
        return Lineage(
            node=str(self._start), nodes=tuple(nodes), edges=tuple(self._edges.values()), has_more=self._has_more
        )

    def _note(self, node: NodeId, neighbour: Neighbour, *, distance: int) -> bool:
        """Take a neighbour in; False where there is no room for more."""
        found = neighbour.id
        if found not in self._nodes:
            if len(self._nodes) >= MOST_NODES:
                self._has_more = True
                return False
            self._nodes[found] = LineageNode(
                node=str(found), kind=found.kind, name=found.name, distance=distance, about=neighbour.about
            )
        source, target = (str(found), str(node)) if distance < 0 else (str(node), str(found))
        self._edges.setdefault((source, target), LineageEdge(source=source, target=target, how=neighbour.how))
        return True


def find_node(facts: Facts, text: str) -> NodeId:
    """The thing that a text names: ``kind:name``, or a name that only one thing has.

    Raises
    ------
    NotFound
    InvalidRequest
        If several things have the name.
    """
    kind, name = parse_kind(text)
    if kind == "bundle":
        return _bundle(facts, name)
    found = list(_candidates(facts, name, kinds=tuple(K) if not kind else (K(kind),)))
    if not found:
        raise NotFound(kind or "thing that lineage knows", name, _names(facts, kind))
    if len(found) > 1:
        raise InvalidRequest(
            f"{name!r} names several things: {', '.join(map(str, found))}", field="node", fix=f"write {found[0]}"
        )
    return found[0]


def _candidates(facts: Facts, name: str, *, kinds: Iterable[NodeKind]) -> Iterator[NodeId]:
    for kind in kinds:
        found = _CHECKS[kind](facts, name)
        if found:
            yield NodeId(kind=kind, name=found)


def _is_source(facts: Facts, name: str) -> str:
    return name if name in facts.project.sources else ""


def _is_view(facts: Facts, name: str) -> str:
    return name if name in facts.project.views else ""


def _is_model(facts: Facts, name: str) -> str:
    return name if name in facts.project.models else ""


def _is_dataset(facts: Facts, name: str) -> str:
    if not re.fullmatch(r"(sha256:)?[0-9a-f]{8,64}", name):
        return ""
    try:
        with facts.context.transaction() as tx:
            return find_dataset(tx, name).digest
    except NotFound:
        return ""


def _is_run(facts: Facts, name: str) -> str:
    return name if facts.get(Run, name) else ""


def _is_version(facts: Facts, name: str) -> str:
    return name if _VERSION.match(name) and facts.get(ModelVersion, name) else ""


def _is_deployment(facts: Facts, name: str) -> str:
    return name if name in facts.deployments() else ""


def _is_composite(facts: Facts, name: str) -> str:
    return name if name in facts.project.composites or facts.get(CompositeState, name) else ""


def _is_predictions(facts: Facts, name: str) -> str:
    parts = name.split("/")
    if len(parts) == 3 and _VERSION.match(f"{parts[1]}/{parts[2]}"):
        return name if facts.get(ModelVersion, f"{parts[1]}/{parts[2]}") else ""
    return ""


def _is_prediction(facts: Facts, name: str) -> str:
    if len(name) != 36 or facts.get(Run, name):
        return ""
    try:
        answer_of(facts.context.stores.tables, name)
    except NotFound:
        return ""
    return name


def _bundle(facts: Facts, digest: str) -> NodeId:
    found = facts.find(ModelVersion, digest=digest)
    if not found:
        raise NotFound("bundle", digest)
    return NodeId(kind=K.VERSION, name=found[0].key)


def _names(facts: Facts, kind: str) -> list[str]:
    project = facts.project
    by_kind = {
        K.SOURCE: project.sources,
        K.VIEW: project.views,
        K.MODEL: project.models,
        K.DEPLOYMENT: project.deployments,
        K.COMPOSITE: project.composites,
    }
    if kind:
        return list(by_kind.get(K(kind), ()))
    return [name for names in by_kind.values() for name in names]


_CHECKS: dict[NodeKind, Callable[[Facts, str], str]] = {
    K.SOURCE: _is_source,
    K.VIEW: _is_view,
    K.MODEL: _is_model,
    K.DATASET: _is_dataset,
    K.RUN: _is_run,
    K.VERSION: _is_version,
    K.DEPLOYMENT: _is_deployment,
    K.COMPOSITE: _is_composite,
    K.PREDICTIONS: _is_predictions,
    K.PREDICTION: _is_prediction,
}
