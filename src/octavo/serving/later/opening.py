"""A predictor's asynchronous predictions, assembled from its settings."""

from octavo.clock import SystemClock
from octavo.config import Config
from octavo.definitions.types import seconds
from octavo.errors import ConfigurationError, InvalidDefinition
from octavo.serving.fellows import Worker
from octavo.serving.later.jobs import Jobs
from octavo.serving.later.work import LaterWork, Records
from octavo.serving.metrics import PredictorMetrics

FILE = "later.db"


def open_later(config: Config, records: Records, *, worker: Worker, metrics: PredictorMetrics) -> LaterWork:
    """What keeps and answers them, in the file that all workers of the predictor share.

    Raises
    ------
    ConfigurationError
        If `[predictor] keep_answers` is no duration.
    """
    settings = config.predictor
    try:
        keep_s = seconds(settings.keep_answers)
    except InvalidDefinition as error:
        raise ConfigurationError(f"[predictor] keep_answers: {error.message}") from error
    jobs = Jobs(config.home / "predictor" / FILE, max_waiting=settings.max_waiting, max_bytes=settings.max_kept_bytes)
    work = LaterWork(jobs, records, clock=SystemClock(), keep_s=keep_s, worker=worker)
    if worker.number == 0:  # of all workers together: told by each, it would be counted twice
        metrics.gauge("octavo_asynchronous_predictions_waiting", "Requests to be answered later.", lambda: work.waiting)
    return work
