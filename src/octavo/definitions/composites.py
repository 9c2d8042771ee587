"""Composites: several deployments and functions that answer one call together."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from octavo.definitions.deployments import Deployment
from octavo.definitions.features import OnDemand, RequestField
from octavo.definitions.types import check_name
from octavo.errors import InvalidDefinition

Part = Deployment | OnDemand


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of a composite. Made by `node`, or by naming the part itself.

    Attributes
    ----------
    part : Deployment or OnDemand
    when : OnDemand or None
        A function by whose answer a row is asked or passed over: it is asked where that is neither 0 nor NaN.
    """

    part: Part
    when: OnDemand | None = None

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def functions(self) -> tuple[OnDemand, ...]:
        """The functions of the node: the part itself, if it is one, and its condition."""
        own = (self.part,) if isinstance(self.part, OnDemand) else ()
        return own if self.when is None else (*own, self.when)


def node(part: Part, *, when: OnDemand | None = None) -> Node:
    """A deployment or function as a part of a composite, asked only for the rows for which a function says so."""
    return Node(part=part, when=when)


@dataclass(frozen=True, slots=True, init=False)
class Composite:
    """A name under which several deployments and functions answer one call together.

    Nodes are wired by name. A function's parameters name earlier nodes, whose predicted values they are (NaN where a
    node was not asked or failed), or fields of the request; a request field of a deployment's model that bears the name
    of an earlier node is that node's value, and not sent by the caller.

    Parameters
    ----------
    name : str
    nodes : sequence of Deployment, OnDemand or Node
        In the order in which they are asked; the last one's value is the composite's.
    fields : sequence of RequestField
        What functions take of the request that no model of a node takes.
    description, owner : str
    """

    name: str
    nodes: tuple[Node, ...]
    fields: tuple[RequestField, ...]
    description: str
    owner: str

    def __init__(
        self,
        name: str,
        *,
        nodes: Sequence[Part | Node],
        fields: Sequence[RequestField] = (),
        description: str = "",
        owner: str = "",
    ) -> None:
        check_name(name, what="composite")
        put = object.__setattr__
        put(self, "name", name)
        put(self, "nodes", tuple(one if isinstance(one, Node) else Node(part=one) for one in nodes))
        put(self, "fields", tuple(fields))
        put(self, "description", description)
        put(self, "owner", owner)
        _check(self)

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """Those of its nodes that are deployments, in order."""
        return tuple(one.part for one in self.nodes if isinstance(one.part, Deployment))

    @property
    def sent_fields(self) -> dict[str, RequestField]:
        """The declared fields of the request, by the models of its nodes and its own, without nodes' values."""
        earlier: set[str] = set()
        found = {field.name: field for field in self.fields}
        for one in self.nodes:
            if isinstance(one.part, Deployment):
                declared = one.part.model.request_fields
                found |= {f.name: f for f in declared if f.name not in earlier and f.name not in found}
            earlier.add(one.name)
        return found


def _check(composite: Composite) -> None:
    what = f"composite {composite.name!r}"
    if not composite.deployments or not all(isinstance(one.part, Part) for one in composite.nodes):
        raise InvalidDefinition(f"{what}: its nodes are deployments, at least one, and functions under oc.on_demand")
    names = [one.name for one in composite.nodes]
    if len(set(names)) < len(names) or composite.name in names:
        raise InvalidDefinition(f"{what} has two nodes of one name, or one of its own: {', '.join(names)}")
    keys = {key for d in composite.deployments for view in d.model.views for key in view.entity_keys}
    sent = {*composite.sent_fields, *keys}
    for place, one in enumerate(composite.nodes):
        known = sent | set(names[:place])
        for function in one.functions:
            _check_parameters(function, known=known, later=set(names[place:]), what=what)
    if clash := sorted(sent & set(names)):
        raise InvalidDefinition(f"{what}: {clash[0]!r} is a node and a field of the request; give one another name")


def _check_parameters(function: OnDemand, *, known: set[str], later: set[str], what: str) -> None:
    for name in function.inputs:
        if name in later:
            raise InvalidDefinition(f"{what}: {function.name!r} takes {name!r}, which is no earlier node; move it up")
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.6)
            raise InvalidDefinition(
                f"{what}: {function.name!r} takes {name!r}, which is neither an earlier node nor a field of the request"
                f"{f'; did you mean {nearest[0]!r}?' if nearest else '; declare it in fields=[oc.request(...)]'}"
            )
