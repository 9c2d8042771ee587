"""Tables of any library, sent as Arrow."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.showrooms import NOW, empty_showroom
from tests.showrooms.doors import api
from tests.unit.client.scripted import ScriptedServer, scripted_server

from octavo.client import Client
from octavo.client.columns import ARROW_STREAM, encode_table

TABLE = pa.table({"flight": ["B6 1"], "landed_at": pa.array([NOW - timedelta(hours=1)], pa.timestamp("us", tz="UTC"))})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def test_a_table_is_known_by_its_columns_and_sent_as_arrow(server: ScriptedServer) -> None:
    with Client(server.url, server.url, token="t") as client:
        client.send_events("landings", TABLE, bad="keep")
    [sent] = server.requests
    assert (sent.path, sent.headers["content-type"]) == ("/events/landings?bad=keep", ARROW_STREAM)
    assert pa.ipc.open_stream(sent.body).read_all().equals(TABLE)


@pytest.mark.parametrize("kind", ["pyarrow", "batches", "pandas"])
def test_whatever_tells_its_columns_to_arrow_is_taken_by_the_server(kind: str, tmp_path: Path) -> None:
    tables: dict[str, Any] = {"pyarrow": TABLE, "batches": TABLE.to_reader(), "pandas": TABLE.to_pandas()}
    encoded = encode_table(tables[kind])
    headers = {"content-type": encoded.media_type}
    answer = api(empty_showroom(tmp_path)).post("/events/landings", content=encoded.data, headers=headers)
    assert answer.json()["rows"] == 1
