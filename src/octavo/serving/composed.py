"""Composites as doors see them: what a body is read for, and the answer, of whatever form it comes to be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, NamedTuple, NoReturn, Self

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import PlannedField
from octavo.errors import Conflict, InvalidRequest, NotFound, Unavailable
from octavo.release.composites import CompositeManifest
from octavo.serving.answers import Predictions
from octavo.serving.functions import Functions
from octavo.serving.lineup import Lineup
from octavo.serving.requests import RequestDecoder

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedComposite:
    """A composite made ready.

    Attributes
    ----------
    functions : Functions
        From the code that travels with it.
    """

    manifest: CompositeManifest
    functions: Functions

    @property
    def deployments(self) -> tuple[str, ...]:
        """Whose lineups it asks."""
        return tuple(node.deployment for node in self.manifest.plan.nodes if node.deployment)


class Composed:
    """A composite with the lineups of its deployments as they are now; doors take it as they take a lineup.

    Parameters
    ----------
    composite : ServedComposite
    lineups : mapping of deployment to Lineup
        Of those that are served.

    Attributes
    ----------
    decoder : RequestDecoder
        Of the fields that a caller sends.
    max_rows : int
        As many as each of its nodes may be asked for.

    Raises
    ------
    Unavailable
        If a node's deployment has no live version here.
    Conflict
        If two nodes take a field of the same name with different types.
    """

    def __init__(self, composite: ServedComposite, lineups: Mapping[str, Lineup]) -> None:
        self.composite, self.manifest = composite, composite.manifest
        for name in composite.deployments:
            if name not in lineups:
                raise Unavailable(
                    f"composite {self.manifest.composite!r} asks {name!r}, which has no live version here; "
                    f"release one: octavo deployments release {name}"
                )
        self.lineups = {name: lineups[name] for name in composite.deployments}
        self.max_rows = min(lineup.max_rows for lineup in self.lineups.values())
        self.decoder = RequestDecoder(merged_fields(composite, self.lineups), max_rows=self.max_rows)

    @property
    def name(self) -> str:
        """Of the composite."""
        return self.manifest.composite

    @property
    def version(self) -> int:
        """Of the graph."""
        return self.manifest.version

    @property
    def versions(self) -> tuple[int, ...]:
        """Those that can be asked for by number: the one that is served."""
        return (self.version,)

    @property
    def common_inputs(self) -> NoReturn:
        """The columns of the matrix, of which there is none."""
        raise InvalidRequest(
            f"{self.manifest.composite!r} is a composite, whose models take different inputs",
            fix="send the request's fields by name",
        )

    def of_version(self, version: str) -> Self:
        """The same, if that is its version.

        Raises
        ------
        NotFound
        """
        if version != str(self.version):
            raise NotFound(f"served version of composite {self.manifest.composite!r}", version, [str(self.version)])
        return self

    def is_of(self, composite: ServedComposite | None, lineups: Mapping[str, Lineup]) -> bool:
        """Whether it is what would be made of these."""
        return self.composite is composite and all(lineups.get(name) is one for name, one in self.lineups.items())


AnyLineup = Lineup | Composed


class NodeAnswer(NamedTuple):
    """What a node said of all rows of a call.

    Attributes
    ----------
    values : ndarray, shape (n_rows,), float64
        NaN where it was not asked, or failed.
    ids, versions : list
        Of the predictions of a deployment, by row; None where there is none, and for a function.
    """

    name: str
    values: Floats
    ids: Sequence[str | None]
    versions: Sequence[int | None]

    def told(self, row: int) -> dict[str, Any]:
        """What the caller is told of it: null where it was not asked, or failed."""
        value = self.values[row].item()
        told: dict[str, Any] = {"value": value if isfinite(value) else None}
        if self.ids[row] is not None:
            told |= {"id": self.ids[row], "version": self.versions[row]}
        return told


class AnsweredByNodes(NamedTuple):
    """A composite's answer; as `octavo.serving.attempts.Answered`.

    Attributes
    ----------
    answer : Predictions
        Those of the composite itself: the values of its last node.
    nodes : sequence of NodeAnswer
        In the order in which they were asked.
    """

    answer: Predictions
    nodes: Sequence[NodeAnswer]
    follow_up: Callable[[], None]
    with_values: bool = False

    @property
    def body(self) -> bytes:
        """The answer as JSON, with what each node said."""
        answer = self.answer
        predictions = [
            {"id": own_id, "value": value, "nodes": {node.name: node.told(row) for node in self.nodes}}
            for row, (own_id, value) in enumerate(zip(answer.ids, answer.values.tolist(), strict=True))
        ]
        document = {"composite": answer.deployment, "version": answer.version, "predictions": predictions}
        if answer.degraded:
            document["degraded"] = True
        return msgspec.json.encode(document)


def merged_fields(composite: ServedComposite, lineups: Mapping[str, Lineup]) -> tuple[PlannedField, ...]:
    """All that a row may hold: what its functions take, and what its deployments do and earlier nodes do not give.

    Raises
    ------
    Conflict
        If two nodes take a field of the same name with different types.
    """
    plan = composite.manifest.plan
    merged, earlier = {field.name: field for field in plan.fields}, set[str]()
    for node in plan.nodes:
        for field in _fields(lineups[node.deployment]) if node.deployment else ():
            if field.name in earlier:
                continue
            known = merged.setdefault(field.name, field)
            if known.dtype is not field.dtype:
                raise Conflict(
                    f"composite {composite.manifest.composite!r}: node {node.name!r} takes {field.name!r} as "
                    f"{field.dtype}, another as {known.dtype}; give one of the fields another name"
                )
            if node.when is not None:
                merged[field.name] = replace(known, required=known.required and known is not field)
            elif field.required:
                merged[field.name] = replace(known, required=True)
        earlier.add(node.name)
    return tuple(merged.values())


def _fields(lineup: Lineup) -> list[PlannedField]:
    decoder = lineup.decoder
    return [
        PlannedField(name=name, dtype=dtype, required=name in decoder.required)
        for name, dtype in decoder.dtypes.items()
    ]
