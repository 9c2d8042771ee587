"""Keeps prediction records: they are in the local log, and so survive this process, before a prediction is answered."""

import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from octavo.errors import OctavoError
from octavo.serving.metrics import PredictorMetrics
from octavo.serving.records import PredictionBlock

log = logging.getLogger(__name__)

TOPIC = "predictions"


class Log(Protocol):
    """Where payloads are appended: `octavo.stores.log.LocalLog`."""

    def publish(self, topic: str, payloads: Sequence[bytes]) -> int:
        """Append payloads."""


class Recorder:
    """Appends records of predictions.

    Parameters
    ----------
    log : Log
    metrics : PredictorMetrics
        Counts what could not be kept.
    """

    def __init__(self, log: Log, metrics: PredictorMetrics) -> None:
        self._log = log
        self._metrics = metrics
        self._encode = msgspec.msgpack.Encoder().encode

    def record(self, blocks: Sequence[PredictionBlock]) -> bool:
        """Append blocks; whether they are kept. A log that fails (a full disk) does not stop predictions."""
        try:
            self._log.publish(TOPIC, list(map(self._encode, blocks)))
        except OctavoError as error:
            lost = sum(block.n_rows for block in blocks)
            self._metrics.records_lost += lost
            log.error("prediction records are lost", extra={"records": lost, "reason": error.message})
            return False
        return True
