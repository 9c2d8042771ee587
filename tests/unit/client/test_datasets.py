from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from tests.workshop import START, Workshop, boosted, declare, open_workshop

from octavo.api.bodies import to_request
from octavo.client.datasets import Datasets
from octavo.features.datasets.building import kept_file
from octavo.operations import SYSTEM, Dispatcher
from octavo.wiring import all_operations


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted))


@pytest.fixture
def datasets(workshop: Workshop) -> Datasets:
    """The client, its calls written down and read back as they are on the wire."""
    operations = all_operations()
    dispatcher = Dispatcher(operations, workshop.context)

    def call(operation: str, **fields: object) -> Any:
        document = msgspec.json.decode(msgspec.json.encode(fields))
        answer = dispatcher.call(to_request(document, operations[operation].request), SYSTEM)
        return msgspec.json.decode(msgspec.json.encode(answer))

    return Datasets(call)


def spine(rows: int) -> pd.DataFrame:
    days = pd.to_timedelta([n / rows * 20 for n in range(rows)], unit="D")
    return pd.DataFrame({"shop": ["north"] * rows, "at": (pd.Timestamp(START) + days).round("us")})


def test_rows_of_a_data_frame_get_their_values(datasets: Datasets) -> None:
    rows = datasets.build("takings", spine=spine(20))
    assert rows.num_rows == 20
    assert sum(rows["takings__events_count_24h"].to_pylist()) > 0


def test_rows_come_part_by_part(datasets: Datasets) -> None:
    rows = datasets.build("takings", spine=pa.Table.from_pandas(spine(120_000), preserve_index=False))
    assert rows.num_rows == 120_000
    assert rows["at"].combine_chunks().equals(rows.sort_by("at")["at"].combine_chunks())


def test_the_record_stays_and_the_rows_go(datasets: Datasets, workshop: Workshop) -> None:
    rows = datasets.build(model="boosted")
    digest = rows.schema.metadata[b"octavo.dataset"].decode()
    assert [found["digest"] for found in datasets.list()] == [digest]
    assert datasets.show(digest)["rows"] == rows.num_rows
    assert datasets.rebuild(digest[:20])["equal"]
    assert not kept_file(workshop.context, digest).exists()


def test_a_grid_is_asked_for_by_its_moments(datasets: Datasets) -> None:
    rows = datasets.build(model="boosted", every="5d", since=START)
    assert len(set(rows["at"].to_pylist())) == 3
