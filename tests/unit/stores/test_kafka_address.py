"""What the URL of a Kafka says."""

from pathlib import Path
from typing import Any

import pytest

from octavo.config import Config, PredictorSettings
from octavo.errors import ConfigurationError
from octavo.stores.kafka import KafkaAddress
from octavo.stores.open import open_stores, published_to

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", {}),
        ("?partitions=12&replicas=3", {"partitions": 12, "replicas": 3}),
        ("?create=no", {"create": False}),
        ("?timeout_s=0.5&payload_bytes=900000", {"timeout_s": 0.5, "payload_bytes": 900_000}),
        ("?tls=yes&ca_file=ca.pem", {"tls": True, "ca_file": "/project/ca.pem"}),
        ("?user=ann&password=env:P", {"user": "ann", "password": "env:P"}),
        (
            "?user=ann&password=file:p&mechanism=PLAIN",
            {"user": "ann", "password": "file:/project/p", "mechanism": "PLAIN"},
        ),
    ],
)
def test_an_address_is_read_from_a_url(options: str, wanted: dict[str, Any]) -> None:
    address = KafkaAddress(servers="one:9092,two:9093", prefix="shop.live", **wanted)
    assert KafkaAddress.parse(f"kafka://one:9092,two:9093/shop.live{options}", root=ROOT) == address


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("kafka:", "brokers are not HOST:PORT"),
        ("kafka://one/shop", "brokers are not HOST:PORT"),
        ("kafka://one:9092,/shop", "brokers are not HOST:PORT"),
        ("kafka://one:9092", "names no prefix"),
        ("kafka://one:9092/a/b", "names no prefix"),
        ("kafka://one:9092/shop?partition=3", "no option 'partition' among"),
        ("kafka://one:9092/shop?partitions=0", "partitions is not a number from 1 on"),
        ("kafka://one:9092/shop?create=1", "create is neither yes nor no"),
        ("kafka://one:9092/shop?timeout_s=0", "timeout_s is not a number of seconds"),
        ("kafka://one:9092/shop?user=ann", "a user and a password belong together"),
        ("kafka://one:9092/shop?user=ann&password=env:P&mechanism=NONE", "mechanism is none of PLAIN"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_the_fix(url: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=f"stores.stream .*{what}.*; write kafka://HOST:PORT/PREFIX"):
        KafkaAddress.parse(url, root=ROOT)


@pytest.mark.parametrize("url", ["kafka://ann:hunter2@one:9092/shop", "kafka://one:9092/shop?user=a&password=hunter2"])
def test_a_password_that_stands_there_itself_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        KafkaAddress.parse(url, root=ROOT)
    assert "hunter2" not in refused.value.message


def test_the_topic_of_predictions_is_an_address_too(tmp_path: Path) -> None:
    config = Config(root=tmp_path, predictor=PredictorSettings(publish="kafka://one:9092/shop.predictions"))
    assert published_to(config) == KafkaAddress(servers="one:9092", prefix="shop.predictions")
    assert published_to(Config(root=tmp_path)) is None


def test_a_project_with_a_wrong_topic_of_predictions_does_not_start(tmp_path: Path) -> None:
    config = Config(root=tmp_path, predictor=PredictorSettings(publish="kafka://one/predictions"))
    with pytest.raises(ConfigurationError, match=r"predictor.publish is no address .*; write kafka://HOST:PORT/TOPIC"):
        open_stores(config, writes_online=False)
