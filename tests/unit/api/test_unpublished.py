"""What waits to be published stands among the metrics of control."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.unit.monitoring.test_publication import block

from octavo.api.unpublished import render_unpublished
from octavo.clock import ManualClock
from octavo.config import Config, PredictorSettings
from octavo.serving.fellows import Worker
from octavo.serving.recorder import TOPIC
from octavo.stores.log import LocalLog

CLOCK = ManualClock(datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
PUBLISHED = PredictorSettings(publish="kafka://localhost:9092/predictions")


def test_a_project_without_a_topic_has_no_such_metric(tmp_path: Path) -> None:
    assert render_unpublished(Config(root=tmp_path), CLOCK) == ""


def test_the_records_that_wait_are_told_with_their_age(tmp_path: Path) -> None:
    config = replace(Config(root=tmp_path), predictor=PUBLISHED)
    LocalLog(Worker().log_folder(config.home), sync=False).publish(TOPIC, [block(20_000_000), block(30_000_000)])
    lines = render_unpublished(config, CLOCK).splitlines()
    assert [line for line in lines if line[0] != "#"] == [
        "octavo_predictions_unpublished_records 2",
        "octavo_predictions_unpublished_age_seconds 40.000",
        "octavo_predictions_unpublished_left_out 0",
    ]


def test_logs_that_cannot_be_read_hide_no_other_metric(tmp_path: Path) -> None:
    config = replace(Config(root=tmp_path), predictor=PUBLISHED)
    (config.home / "predictor").mkdir(parents=True)
    (config.home / "predictor" / "published.json").write_text("{")
    assert render_unpublished(config, CLOCK) == ""
