"""What is kept of some predictions of one version, made of the columns that they were made of."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.serving.asked import Asked
from octavo.serving.ids import Ids
from octavo.serving.inputs import Floats, Inputs
from octavo.serving.lineup import Assigned, ServedArm
from octavo.serving.records import INPUT, BlockColumn, BlockHead, PredictionBlock

Rows = npt.NDArray[np.intp] | None
"""Places of rows within a part of a request; None for all."""


class Made(NamedTuple):
    """What is the same for all predictions of a request; see `PredictionBlock`."""

    deployment: str
    at_us: int
    latency_us: int | list[int]
    caller: str | list[str]
    trace: str | list[str]


class BlockMaker:
    """Makes blocks; remembers what is the same in all of a version."""

    def __init__(self) -> None:
        self._heads: WeakKeyDictionary[ServedArm, msgspec.Raw] = WeakKeyDictionary()

    def block(
        self,
        asked: Asked,
        ids: Ids,
        *,
        served: ServedArm,
        rows: Rows,
        inputs: Inputs | None,
        outputs: npt.NDArray[np.float64],
        assigned: Assigned,
        made: Made,
        parents: bytes = b"",
    ) -> PredictionBlock:
        """The block of some rows.

        Parameters
        ----------
        asked, ids, inputs, assigned
            Of all rows of a part; without inputs the version failed.
        rows : ndarray of int or None
            The places of the rows in it; None for all.
        outputs : ndarray, float64
            Of these rows.
        parents : bytes
            See `PredictionBlock`, of these rows.
        """
        builder = served.builder
        is_whole = inputs is not None and inputs.status is None  # then nothing stands in for what was sent
        as_asked, columns = asked.recorded(builder.times, rows, inputs=builder.sent if is_whole else {})
        is_short = is_whole and as_asked is not None and bool(builder.sent)
        kept = b""
        if inputs is not None:
            kept = _bytes(inputs.matrix[:, builder.others] if is_short else _without(inputs.matrix, columns), rows)
        return PredictionBlock(
            head=self._heads.get(served) or self._head(made.deployment, served),
            at_us=made.at_us,
            ids=ids.kept if rows is None else ids.chosen(rows),
            rows=as_asked,
            columns=columns,
            inputs=kept,
            status=b"" if inputs is None or inputs.status is None else _bytes(inputs.status, rows),
            ages_s=b"" if inputs is None or inputs.ages_s is None else _bytes(inputs.ages_s, rows),
            outputs=outputs.tobytes(),
            latency_us=_of(made.latency_us, rows),
            caller=_of(made.caller, rows),
            trace=_of(made.trace, rows),
            propensity=_of(assigned.propensities, rows),
            group=_of(assigned.groups, rows),
            parents=parents,
            is_short=is_short,
        )

    def _head(self, deployment: str, served: ServedArm) -> msgspec.Raw:
        arm, builder = served.arm, served.builder
        head = BlockHead(
            deployment, arm.model, arm.version, arm.digest, arm.role, builder.keys, builder.fields, builder.sent
        )
        encoded = self._heads[served] = msgspec.Raw(msgspec.msgpack.encode(head))
        return encoded


def _without(matrix: Floats, columns: Sequence[BlockColumn | None] | None) -> Floats:
    """The matrix but for the columns that are kept as they were sent."""
    kept = [one.column for one in columns or () if one is not None and one.column >= 0 and one.kind != INPUT]
    return np.delete(matrix, kept, axis=1) if kept else matrix


def _bytes(values: npt.NDArray[Any], rows: Rows) -> bytes:
    return (values if rows is None else values[rows]).tobytes()


def _of(values: Any, rows: Rows) -> Any:
    """What is said of the rows: once where it is the same for all."""
    if not isinstance(values, list):
        return values
    chosen = values if rows is None else [values[row] for row in rows.tolist()]
    return chosen[0] if chosen.count(chosen[0]) == len(chosen) else chosen
