"""Online features by Feast; runs in Feast's environment."""

import time
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64
from peers import Answer, serve

warnings.simplefilter("ignore")  # of Ibis about DuckDB


class Feast:
    """A feature store whose online values are in Redis.

    Parameters
    ----------
    folder : str
        Holds ``events.parquet``.
    until : str
        Up to when events are materialized, as an ISO time.
    """

    def __init__(self, *, folder: str, redis_port: int, columns: list[str], ttl_days: int, until: str) -> None:
        here, end = Path(folder), datetime.fromisoformat(until)
        config = RepoConfig(
            project="benchmark",
            provider="local",
            registry=str(here / "registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "redis", "connection_string": f"127.0.0.1:{redis_port}"},
            entity_key_serialization_version=3,
        )
        user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
        view = FeatureView(
            name="of_user",
            entities=[user],
            ttl=timedelta(days=ttl_days),
            schema=[Field(name=column, dtype=Float64) for column in columns],
            source=FileSource(path=str(here / "events.parquet"), timestamp_field="happened"),
        )
        self.service = FeatureService(name="all_of_user", features=[view])
        self.store = FeatureStore(config=config)
        self.store.apply([user, view, self.service])
        self.store.materialize(end - timedelta(days=ttl_days), end)
        self.columns = columns

    def values(self, users: list[int]) -> dict[str, list[Any]]:
        rows = [{"user": user} for user in users]
        answer: dict[str, list[Any]] = self.store.get_online_features(features=self.service, entity_rows=rows).to_dict()
        return answer


opened: list[Feast] = []


def prepare(**settings: Any) -> None:
    opened.append(Feast(**settings))


def read(*, requests: list[list[int]]) -> Answer:
    [feast] = opened
    each_us, values = [], {}
    for users in requests:
        start = time.perf_counter()
        values = feast.values(users)
        each_us.append(1e6 * (time.perf_counter() - start))
    return {"each_us": each_us, "values": [values[column] for column in feast.columns]}


serve({"prepare": prepare, "read": read})
