"""What is kept of predictions and outcomes."""

from collections.abc import Sequence
from typing import Any

import msgspec

WORDS, INPUT = "words", "input"


class BlockColumn(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One field of the request, of all rows of a block.

    Attributes
    ----------
    kind : str
        A numpy dtype such as ``<f8``, whose values are `data`, little-endian (NaN is null; ``<M8[us]`` is an instant);
        ``words``: `data` holds each row's place among `words`, as uint8 where these are at most 256, else int32; or
        ``input``: the values are those of a column of the block's inputs, and stand there only.
    column : int
        Of the model's matrix: of ``input``, where the values stand; of a dtype, where they would stand as float32, and
        the block's inputs do without. -1 for none.
    """

    kind: str
    data: bytes
    words: list[str | None] = []
    column: int = -1


class BlockHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is the same in all blocks of an arm.

    Attributes
    ----------
    keys, fields : dict of str to int
        The entity keys, and the other fields of the request that the version takes, with their places in a row.
    sent : dict of int to int
        The places of numbers that are inputs as they are sent, and their columns in the model's matrix.
    """

    deployment: str
    model: str
    version: int
    digest: str
    arm: str
    keys: dict[str, int]
    fields: dict[str, int]
    sent: dict[int, int] = {}


class PredictionBlock(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False, tag=2):
    """The predictions that one version made of some rows of a request; a shadow's have the ids that it shadows.

    Attributes
    ----------
    head : Raw
        A `BlockHead`, encoded.
    at_us : int
        When they were made, microseconds since 1970, by the platform's clock.
    ids : bytes
        UUID version 7, 16 bytes of each, or of the first alone if the others follow it: `octavo.serving.ids.Run`.
    rows : list or None
        The request's rows as received, instants in ISO 8601; None if it came by columns, or as the model's inputs.
    columns : list or None
        By the places of `BlockHead`; None in a field's place if it was not sent.
    inputs : bytes
        The model's matrix: float32, little-endian, row by row, but for the columns that `columns` holds already, or
        `rows` if it is short; empty, and of no such column, if the version failed before it was complete.
    status : bytes
        One `FeatureStatus` per input, row by row; empty if all are present.
    ages_s : bytes
        Age of each input in seconds, float32; NaN where it has none; empty if none has one.
    outputs : bytes
        The predictions: a value, or a probability; float64.
    latency_us : int
        From the request's arrival to its answer, wall time.
    propensity : float or list of float
        With which probability this arm was to answer; one number if it is the same for all rows.
    group : str or list of str
        The group of an experiment; empty outside of one.
    parents : bytes
        Of a composite's nodes: the ids of the composite's predictions, 16 bytes of each; empty outside of one.
    is_short : bool
        Whether the inputs lack the columns of `BlockHead.sent`, whose values the rows hold.
    """

    head: msgspec.Raw
    at_us: int
    ids: bytes
    rows: Sequence[Any] | None
    columns: list[BlockColumn | None] | None
    inputs: bytes
    status: bytes
    ages_s: bytes
    outputs: bytes
    latency_us: int | list[int]
    caller: str | list[str]
    trace: str | list[str]
    propensity: float | list[float] = 1.0
    group: str | list[str] = ""
    parents: bytes = b""
    is_short: bool = False

    @property
    def n_rows(self) -> int:
        """How many predictions these are."""
        return len(self.outputs) // 8


class PredictionRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False):
    """One prediction, as predictors before blocks recorded it; logs may still hold some.

    Attributes
    ----------
    id : str
        UUID version 7: its first 48 bits are the time in milliseconds.
    at_us : int
        When it was made, microseconds since 1970, by the platform's clock.
    arm : str
        ``live``, ``canary`` or ``shadow``.
    entities : dict
        Entity keys by column.
    request : dict
        The request fields as received.
    inputs : bytes
        The model's input row: float32, little-endian, in the order of the lookup plan's inputs.
    status : bytes
        One `FeatureStatus` per input.
    ages_s : bytes
        Age of each input in seconds, float32; NaN where it has none.
    output : float
        The prediction: a value, or a probability.
    latency_us : int
        From the request's arrival to its answer, wall time.
    """

    id: str
    at_us: int
    deployment: str
    model: str
    version: int
    digest: str
    arm: str
    entities: dict[str, str | int]
    request: dict[str, str | int | float | bool | None]
    inputs: bytes
    status: bytes
    ages_s: bytes
    output: float
    latency_us: int
    caller: str
    trace: str


class OutcomeRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False):
    """The truth about a prediction, as it became known; the one known last counts.

    Attributes
    ----------
    id : str
        Of the outcome: one sent twice counts once.
    prediction : str
        The prediction's id.
    value : float
        The raw value of the label's column; a binary label's threshold is applied when it is joined.
    known_at_us : int
        When it became known, microseconds since 1970.
    received_at_us : int
        When the platform was told.
    """

    id: str
    prediction: str
    value: float
    known_at_us: int
    received_at_us: int
