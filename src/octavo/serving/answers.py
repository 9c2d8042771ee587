"""What a caller is answered with, encoded."""

from collections.abc import Sequence

import msgspec

from octavo.features.values import FeatureStatus

_REMEMBERED = 4096


class PredictionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One prediction.

    Attributes
    ----------
    value : float
        The predicted value, or the probability.
    arm : str or None
        Given where it is not the live version that answers.
    features : Raw
        The status of each input, by name.
    values : dict or None
        The inputs themselves, if they were asked for; null where the model was given NaN.
    """

    id: str
    value: float
    version: int
    features: msgspec.Raw
    arm: str | None = None
    values: dict[str, float] | None = None


class DeploymentAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The predictions of one request, in the order of its rows.

    Attributes
    ----------
    degraded : bool
        Whether the online store or the record of predictions could not be reached, or the store lacks a view; left
        out if not.
    """

    deployment: str
    model: str
    predictions: list[PredictionAnswer]
    degraded: bool = False


encode_answer = msgspec.json.Encoder().encode


class StatusWords:
    """The status of a row's inputs as JSON; rows with the same statuses, nearly always all present, share their bytes.

    Parameters
    ----------
    inputs : sequence of str
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self._inputs = tuple(inputs)
        self._words = {int(status): status.word for status in FeatureStatus}
        self._known: dict[bytes, msgspec.Raw] = {}

    def json(self, status: bytes) -> msgspec.Raw:
        """The JSON object of one row's statuses, one byte per input."""
        known = self._known.get(status)
        return self._remember(status) if known is None else known

    def _remember(self, status: bytes) -> msgspec.Raw:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        words = {name: self._words[one] for name, one in zip(self._inputs, status, strict=True)}
        raw = self._known[status] = msgspec.Raw(msgspec.json.encode(words))
        return raw
