"""Composites, answered: a graph of deployments and functions, each node asked in its turn for all rows of a call.

A deployment's node is asked as any caller would ask it, through its own lineup: its canary, its shadows, its features
and its records are what they always are, and each of its records names the composite's prediction as its parent.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.clock import Clock
from octavo.definitions.plans import PlannedField, PlannedFunction
from octavo.definitions.types import DType
from octavo.errors import Conflict, InvalidRequest, PredictionFailed, Unavailable
from octavo.release.composites import CompositeManifest, PlannedNode
from octavo.release.shares import LIVE
from octavo.serving.asked import Asked, AskedRows
from octavo.serving.attempts import Call
from octavo.serving.functions import Functions
from octavo.serving.ids import IdMaker, Ids
from octavo.serving.lineup import Lineup
from octavo.serving.predict import Predictor
from octavo.serving.recorder import Recorder
from octavo.serving.records import BlockHead, PredictionBlock
from octavo.serving.requests import RequestDecoder, Row

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


class CompositePredictor:
    """Answers calls of composites. Not to be shared between threads.

    Parameters
    ----------
    predictor : Predictor
    clock : Clock
    recorder : Recorder
    """

    def __init__(self, predictor: Predictor, *, clock: Clock, recorder: Recorder) -> None:
        self._predictor = predictor
        self._clock = clock
        self._recorder = recorder
        self._ids = IdMaker()
        self._decoders: dict[tuple[object, ...], RequestDecoder] = {}

    async def answer(
        self, composite: ServedComposite, lineups: Mapping[str, Lineup], call: Call
    ) -> tuple[bytes, Callable[[], None]]:
        """The answer as JSON, and what is left to do once it is sent.

        Raises
        ------
        InvalidRequest
            If the body is not what its nodes take.
        Unavailable
            If a node's deployment has no live version here.
        PredictionFailed
            If the last node gave no finite number for some row.
        """
        decoder = self._decoder(composite, lineups)
        rows, at_us = decoder.decode(call.body), self._clock.now_us()
        under_way = _UnderWay(
            composite, lineups, call, decoder=decoder, rows=rows, ids=self._ids.make(at_us, len(rows))
        )
        for node in composite.manifest.plan.nodes:
            await under_way.ask(node, self._predictor)
        kept = self._recorder.record([under_way.block(at_us)])
        return under_way.encode(is_kept=kept), under_way.follow_up

    def _decoder(self, composite: ServedComposite, lineups: Mapping[str, Lineup]) -> RequestDecoder:
        """Made anew when a node's lineup is another."""
        key = (composite, *map(lineups.get, composite.deployments))
        if key not in self._decoders:
            made = decoder_of(composite, lineups)
            known = {old: other for old, other in self._decoders.items() if old[0] is not composite}
            self._decoders = {**known, key: made}
        return self._decoders[key]


def decoder_of(composite: ServedComposite, lineups: Mapping[str, Lineup]) -> RequestDecoder:
    """Of the fields that a caller sends, in as many rows as a node may be asked for.

    Raises
    ------
    Unavailable
        If a node's deployment has no live version here.
    Conflict
        If two nodes take a field of the same name with different types.
    """
    for name in composite.deployments:
        if name not in lineups:
            raise Unavailable(
                f"composite {composite.manifest.composite!r} asks {name!r}, which has no live version here; "
                f"release one: octavo deployments release {name}"
            )
    most = min(lineups[name].max_rows for name in composite.deployments)
    return RequestDecoder(merged_fields(composite, lineups), max_rows=most)


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


class _UnderWay:
    """One call on its way through the graph."""

    def __init__(
        self,
        composite: ServedComposite,
        lineups: Mapping[str, Lineup],
        call: Call,
        *,
        decoder: RequestDecoder,
        rows: Sequence[Row],
        ids: Ids,
    ) -> None:
        self._composite, self._lineups, self._call = composite, lineups, call
        self._decoder, self._asked, self._ids = decoder, AskedRows(rows), ids
        self._places = {name: place for place, name in enumerate(decoder.names)}
        self._answers: dict[str, NodeAnswer] = {}
        self._follow_ups: list[Callable[[], None]] = []
        self._degraded = False

    async def ask(self, node: PlannedNode, predictor: Predictor) -> None:
        """Ask a node for the rows that are its own."""
        rows = await self._own_rows(node)
        if node.function is not None:
            values = np.full(self._asked.n_rows, np.nan)
            values[rows] = (await self._computed(node.function))[rows]
            nothing = [None] * self._asked.n_rows
            self._answers[node.name] = NodeAnswer(node.name, values, nothing, nothing)
        else:
            self._answers[node.name] = await self._asked_of(node, rows, predictor)

    def follow_up(self) -> None:
        """Let the nodes' shadows predict."""
        for follow_up in self._follow_ups:
            follow_up()

    def block(self, at_us: int) -> PredictionBlock:
        """What is kept of the call itself: its request, and the values of its nodes as inputs."""
        manifest, decoder = self._composite.manifest, self._decoder
        asked = (served for name in self._composite.deployments for served in self._lineups[name].arms)
        entity_keys = {key for served in asked for key in served.builder.keys}
        keys = {name: place for name, place in self._places.items() if name in entity_keys}
        fields = {name: place for name, place in self._places.items() if name not in entity_keys}
        head = BlockHead(manifest.composite, "", manifest.version, manifest.digest, LIVE, keys, fields)
        times = [place for name, place in self._places.items() if decoder.dtypes[name] is DType.TIMESTAMP]
        rows, columns = self._asked.recorded(times, None, inputs={})
        nodes = np.stack([answer.values for answer in self._answers.values()], axis=1).astype("<f4")
        return PredictionBlock(
            head=msgspec.Raw(msgspec.msgpack.encode(head)),
            at_us=at_us,
            ids=self._ids.data,
            rows=rows,
            columns=columns,
            inputs=nodes.tobytes(),
            status=b"",
            ages_s=b"",
            outputs=self._last.values.astype("<f8").tobytes(),
            latency_us=(time.perf_counter_ns() - self._call.arrived_ns) // 1000,
            caller=self._call.caller,
            trace=self._call.trace,
        )

    def encode(self, *, is_kept: bool) -> bytes:
        """The answer.

        Raises
        ------
        PredictionFailed
            If the last node has no finite value for some row.
        """
        values = self._last.values
        if len(failed := np.flatnonzero(~np.isfinite(values))):
            raise PredictionFailed(
                f"rows[{failed[0]}]: node {self._last.name!r} gave no finite number; nothing is wrong with the "
                "request as such, and what happened is recorded"
            )
        manifest = self._composite.manifest
        predictions = [
            {"id": own_id, "value": value, "nodes": {a.name: _told(a, row) for a in self._answers.values()}}
            for row, (own_id, value) in enumerate(zip(self._ids, values.tolist(), strict=True))
        ]
        document = {"composite": manifest.composite, "version": manifest.version, "predictions": predictions}
        if self._degraded or not is_kept:
            document["degraded"] = True
        return msgspec.json.encode(document)

    @property
    def _last(self) -> NodeAnswer:
        return self._answers[self._composite.manifest.plan.nodes[-1].name]

    async def _own_rows(self, node: PlannedNode) -> npt.NDArray[np.intp]:
        """The rows for which a node is asked: where its condition says so, and no earlier node that it needs failed."""
        own = np.ones(self._asked.n_rows, np.bool_)
        if node.when is not None:
            told = await self._computed(node.when)
            own &= np.isfinite(told) & (told != 0)
        if node.deployment:
            required = self._lineups[node.deployment].decoder.required
            for name in required & self._answers.keys():
                own &= np.isfinite(self._answers[name].values)
            self._check_sent(node, sorted(required - self._answers.keys()), own)
        return np.flatnonzero(own)

    def _check_sent(self, node: PlannedNode, required: Sequence[str], own: npt.NDArray[np.bool_]) -> None:
        """A field that only a node with a condition requires may be left out where that does not hold."""
        if node.when is None:
            return
        for name in required:
            for row, value in enumerate(self._asked.values(self._places[name])):
                if value is None and own[row]:
                    raise InvalidRequest(
                        f"rows[{row}] lacks the field {name!r}, which node {node.name!r} needs where "
                        f"{node.when.name!r} holds",
                        field=f"rows[{row}].{name}",
                        fix=f"add {name!r} to the row",
                    )

    async def _computed(self, function: PlannedFunction) -> Floats:
        """A function's value for all rows."""
        columns = {taken: self._taken(taken) for taken in function.inputs}
        return (await self._composite.functions.compute(columns, self._asked.n_rows, only=function.name))[function.name]

    def _taken(self, name: str) -> npt.NDArray[Any]:
        if name in self._answers:
            return self._answers[name].values
        return self._asked.taken(self._places[name], self._decoder.dtypes[name])

    async def _asked_of(self, node: PlannedNode, rows: npt.NDArray[np.intp], predictor: Predictor) -> NodeAnswer:
        n_rows = self._asked.n_rows
        values = np.full(n_rows, np.nan)
        ids: list[str | None] = [None] * n_rows
        versions: list[int | None] = [None] * n_rows
        answer = NodeAnswer(node.name, values, ids, versions)
        if not len(rows):
            return answer
        lineup = self._lineups[node.deployment]
        sent: Asked = AskedRows(self._rows_for(lineup, rows))
        call = msgspec.structs.replace(self._call, read=lambda *_: sent, parents=self._ids.chosen(rows))
        answered = await predictor.answer(lineup, call)
        self._degraded |= answered.answer.degraded
        if answered.follow_up is not None:
            self._follow_ups.append(answered.follow_up)
        values[rows] = answered.answer.values
        told = zip(rows.tolist(), answered.answer.ids, answered.answer.versions.tolist(), strict=True)
        for place, own_id, version in told:
            ids[place], versions[place] = own_id, version or None
        return answer

    def _rows_for(self, lineup: Lineup, rows: npt.NDArray[np.intp]) -> list[Row]:
        """The rows as a lineup takes them: earlier nodes' values first, then what was sent, null for what was not."""
        columns = [self._column(name) for name in lineup.decoder.names]
        return [tuple(column[place] for column in columns) for place in rows.tolist()]

    def _column(self, name: str) -> Sequence[Any]:
        if name in self._answers:
            return [value if isfinite(value) else None for value in self._answers[name].values.tolist()]
        return self._asked.values(self._places[name])


def _told(answer: NodeAnswer, row: int) -> dict[str, Any]:
    """What the caller is told of a node: null where it was not asked, or failed."""
    value = answer.values[row].item()
    told: dict[str, Any] = {"value": value if isfinite(value) else None}
    if answer.ids[row] is not None:
        told |= {"id": answer.ids[row], "version": answer.versions[row]}
    return told
