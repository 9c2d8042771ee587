"""The training set by Octavo, and by one ASOF join written by hand over the same Delta table."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from peers import Answer, serve
from tables import TABLE, latest_view, load

from octavo.features.offline.historical import historical_features
from octavo.stores.delta import DeltaTables


class Octavo:
    """A feature view over a Delta table.

    Parameters
    ----------
    folder : str
        Holds ``events.parquet`` and ``spine.parquet``; the table is made there.
    """

    def __init__(self, *, folder: str, columns: list[str], ttl_days: int) -> None:
        self.view = latest_view(columns, ttl_days)
        self.columns, self.ttl_days = columns, ttl_days
        self.spine = pq.read_table(Path(folder) / "spine.parquet")
        self.tables = DeltaTables(Path(folder) / "tables")
        load(self.tables, pq.read_table(Path(folder) / "events.parquet"), self.view.source)
        self.answer: Any = None


opened: list[Octavo] = []


def prepare(**settings: Any) -> None:
    opened.append(Octavo(**settings))


def training_set() -> Answer:
    [octavo] = opened
    octavo.answer = historical_features(octavo.tables, [octavo.view], spine=octavo.spine, at="moment")
    return {"rows": len(octavo.answer)}


def by_hand() -> Answer:
    [octavo] = opened
    fresh = f"s.moment - e.happened < INTERVAL {octavo.ttl_days} DAY"
    values = ", ".join(f"CASE WHEN {fresh} THEN e.{column} END AS {column}" for column in octavo.columns)
    rows = octavo.tables.query(
        f"SELECT s.user, s.moment, {values} FROM spine AS s"
        ' ASOF LEFT JOIN events AS e ON e."user" = s."user" AND e.happened < s.moment',
        tables={"events": TABLE},
        frames={"spine": octavo.spine},
    )
    return {"rows": len(rows)}


def keep(*, path: str) -> None:
    answer = opened[0].answer
    pq.write_table(
        answer.rename_columns([n.removeprefix("of_user__").removesuffix("_latest") for n in answer.column_names]), path
    )


serve({"prepare": prepare, "training_set": training_set, "by_hand": by_hand, "keep": keep})
