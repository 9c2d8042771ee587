"""Whoever may not is refused before anything they sent is looked at, and that is recorded, whichever door it was."""

from pathlib import Path

import pytest
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import api


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return empty_showroom(tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/api/2.0/mlflow/runs/create", "mlflow runs/create"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x/y", "mlflow artifacts"),
        ("POST", "/api/releases.start", "releases.start"),
        ("POST", "/events/landings", "events.ingest"),
    ],
)
def test_a_denial_is_recorded_by_every_door(room: Showroom, method: str, path: str, operation: str) -> None:
    answer = api(room, permissions=["metrics:read"]).request(method, path, content=b"\xff{")
    assert answer.status_code == 403
    if "mlflow" in path:
        assert answer.json()["error_code"] == "PERMISSION_DENIED"
    with room.stores.metadata.transaction() as tx:
        [event] = tx.audit()
    assert (event.operation, event.outcome, event.subject) == (operation, "denied", "eve")
