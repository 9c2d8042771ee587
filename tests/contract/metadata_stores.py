"""Every store of metadata, for the suites that all of them pass."""

from pathlib import Path

import pytest

from octavo.stores.memory import MemoryMetadata
from octavo.stores.ports import Metadata
from octavo.stores.sql import SqlMetadata

KINDS = ["memory", "sqlite", "postgres"]


def new_metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Metadata:
    """An empty store of the kind that the fixture is asked for."""
    if request.param == "memory":
        return MemoryMetadata()
    if request.param == "sqlite":
        return SqlMetadata(f"sqlite:///{tmp_path}/m.db")
    return SqlMetadata(request.getfixturevalue("postgres").address())
