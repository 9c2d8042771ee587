"""Composites, answered: a graph of deployments and functions, each node asked in its turn for all rows of a call.

A deployment's node is asked as any caller would ask it, through its own lineup: its canary, its shadows, its features
and its records are what they always are, and each of its records names the composite's prediction as its parent.
"""

import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.clock import Clock
from octavo.definitions.plans import PlannedFunction
from octavo.definitions.types import DType
from octavo.errors import InvalidRequest, PredictionFailed
from octavo.release.composites import PlannedNode
from octavo.release.shares import LIVE
from octavo.serving.answers import Predictions, Share
from octavo.serving.asked import Asked, AskedRows
from octavo.serving.attempts import Call
from octavo.serving.composed import AnsweredByNodes, Composed, Floats, NodeAnswer
from octavo.serving.ids import IdMaker, Ids
from octavo.serving.lineup import Lineup
from octavo.serving.predict import Predictor
from octavo.serving.recorder import Recorder
from octavo.serving.records import BlockHead, PredictionBlock
from octavo.serving.requests import Row


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

    async def answer(self, composed: Composed, call: Call) -> AnsweredByNodes:
        """Have each node asked in its turn, and record the call.

        Raises
        ------
        InvalidRequest
            If the body is not what its nodes take.
        PredictionFailed
            If the last node gave no finite number for some row.
        """
        asked = call.read(composed, call.body)
        at_us = self._clock.now_us()
        under_way = _UnderWay(composed, call, asked=asked, ids=self._ids.make(at_us, asked.n_rows))
        for node in composed.manifest.plan.nodes:
            await under_way.ask(node, self._predictor)
        kept = self._recorder.record([under_way.block(at_us)])
        return under_way.answered(is_kept=kept)


class _UnderWay:
    """One call on its way through the graph."""

    def __init__(self, composed: Composed, call: Call, *, asked: Asked, ids: Ids) -> None:
        self._composite, self._lineups, self._call = composed.composite, composed.lineups, call
        self._decoder, self._asked, self._ids = composed.decoder, asked, ids
        self._places = {name: place for place, name in enumerate(self._decoder.names)}
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

    def answered(self, *, is_kept: bool) -> AnsweredByNodes:
        """The answer.

        Raises
        ------
        PredictionFailed
            If the last node has no finite value for some row.
        """
        manifest, values = self._composite.manifest, self._last.values
        if len(failed := np.flatnonzero(~np.isfinite(values))):
            raise PredictionFailed(
                f"rows[{failed[0]}]: node {self._last.name!r} gave no finite number; nothing is wrong with the "
                "request as such, and what happened is recorded"
            )
        of_all = Share(slice(None), manifest.version, LIVE, None, None, None, None)  # type: ignore[arg-type]  # no model
        degraded = self._degraded or not is_kept
        answer = Predictions(manifest.composite, "", ids=self._ids, values=values, shares=[of_all], degraded=degraded)
        return AnsweredByNodes(answer, tuple(self._answers.values()), self._follow_up)

    def _follow_up(self) -> None:
        """Let the nodes' shadows predict."""
        for follow_up in self._follow_ups:
            follow_up()

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
