"""What is kept of every prediction and every outcome."""

import msgspec


class PredictionRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False):
    """One prediction of one model version; a shadow version's has the id of the prediction that it shadows.

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
