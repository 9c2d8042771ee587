"""The things that lineage is about, by kind and name, and how a node is written."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from octavo.errors import InvalidRequest


class NodeKind(StrEnum):
    """In the order of the loop."""

    SOURCE = "source"
    VIEW = "view"
    MODEL = "model"
    DATASET = "dataset"
    RUN = "run"
    VERSION = "version"
    DEPLOYMENT = "deployment"
    COMPOSITE = "composite"
    PREDICTIONS = "predictions"
    PREDICTION = "prediction"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeId:
    """A thing; written ``kind:name``, such as ``source:landings``, ``version:arrival_delay/3``, ``dataset:sha256:ab…``.

    The predictions of a version in a deployment are ``predictions:DEPLOYMENT/MODEL/VERSION``.
    """

    kind: NodeKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A thing one step away.

    Attributes
    ----------
    how : str
        What the step is: ``table version 17``, ``live, 90 %``.
    about : str
        What is worth knowing of the thing itself: ``succeeded``, ``12,044 predictions``.
    is_end : bool
        Whether a walk that comes this way goes no further: what else came of it, or it came of, is not of the others.
    """

    id: NodeId
    how: str = ""
    about: str = ""
    is_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A thing that was found.

    Attributes
    ----------
    node : str
        As `NodeId` is written.
    distance : int
        Steps from where the walk began, upstream below 0.
    """

    node: str
    kind: NodeKind
    name: str
    distance: int
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEdge:
    """That `target` came of `source`, both as nodes are written."""

    source: str
    target: str
    how: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What came of what around a node.

    Attributes
    ----------
    nodes : tuple of LineageNode
        The one asked for first, then by distance.
    has_more : bool
        Whether the walk ended at its limit of nodes.
    """

    node: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    has_more: bool = False
    problems: tuple[str, ...] = field(default=())


_BUNDLE = "bundle"
_WRITTEN = re.compile(r"([a-z]+):(.+)\Z", re.DOTALL)
_MOST_LETTERS = 300


def parse_kind(text: str) -> tuple[str, str]:
    """The kind and name in a node; no kind where none is written. ``bundle`` is a kind here, too.

    Raises
    ------
    InvalidRequest
        If it is too long, or empty.
    """
    if not text or len(text) > _MOST_LETTERS:
        raise InvalidRequest("that is no node", field="node", fix="write kind:name, such as source:NAME")
    match = _WRITTEN.match(text)
    if match and match[1] in (*NodeKind, _BUNDLE):
        return match[1], match[2]
    return "", text
