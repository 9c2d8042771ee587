"""The training set by Feast; runs in Feast's environment."""

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64
from peers import Answer, serve

warnings.simplefilter("ignore")  # of Ibis about DuckDB


class Feast:
    """A feature store over one Parquet file.

    Parameters
    ----------
    folder : str
        Holds ``events.parquet`` and ``spine.parquet``.
    offline : str
        Feast's offline store: ``duckdb`` or ``dask``.
    """

    def __init__(self, *, folder: str, offline: str, columns: list[str], ttl_days: int) -> None:
        here = Path(folder)
        config = RepoConfig(
            project="benchmark",
            provider="local",
            registry=str(here / f"{offline}.registry"),
            offline_store={"type": offline},
            online_store={"type": "sqlite", "path": str(here / "unused.db")},
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
        self.features = [f"of_user:{column}" for column in columns]
        self.spine = pq.read_table(here / "spine.parquet").to_pandas().rename(columns={"moment": "event_timestamp"})
        self.store = FeatureStore(config=config)
        self.store.apply([user, view])
        self.answer: Any = None


opened: list[Feast] = []


def prepare(**settings: Any) -> None:
    opened.append(Feast(**settings))


def training_set() -> Answer:
    [feast] = opened
    feast.answer = feast.store.get_historical_features(entity_df=feast.spine, features=feast.features).to_arrow()
    return {"rows": feast.answer.num_rows}


def keep(*, path: str) -> None:
    names = ["moment" if name == "event_timestamp" else name for name in opened[0].answer.column_names]
    pq.write_table(opened[0].answer.rename_columns(names), path)


serve({"prepare": prepare, "training_set": training_set, "keep": keep})
