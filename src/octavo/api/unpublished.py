"""How much of the predictions waits for the topic that is to have them, in Prometheus' text format."""

import logging
from contextlib import closing

from octavo.clock import Clock
from octavo.config import Config
from octavo.errors import OctavoError
from octavo.loop.predictor_logs import PredictorLogs
from octavo.monitoring.publication import unpublished
from octavo.serving.fellows import predictor_folder

log = logging.getLogger(__name__)


def render_unpublished(config: Config, clock: Clock) -> str:
    """The gauges; nothing if no topic is named, or the logs cannot be read."""
    if not config.predictor.publish:
        return ""
    try:
        with closing(PredictorLogs(config.home)) as logs:
            waiting = unpublished(predictor_folder(config.home), logs.all())
    except OctavoError as error:
        log.error("cannot tell what waits to be published: %s", error.message)
        return ""
    age_s = 0.0 if waiting.since is None else max((clock.now() - waiting.since).total_seconds(), 0.0)
    gauges = (
        ("records", "Records of predictions that wait to be published.", f"{waiting.records}"),
        ("age_seconds", "Since the oldest of them was made; 0 if none waits.", f"{age_s:.3f}"),
        ("left_out", "Predictions that were too large to be published.", f"{waiting.left_out}"),
    )
    lines = []
    for name, told, value in gauges:
        metric = f"octavo_predictions_unpublished_{name}"
        lines += [f"# HELP {metric} {told}", f"# TYPE {metric} gauge", f"{metric} {value}"]
    return "\n".join(lines) + "\n"
