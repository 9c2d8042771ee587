"""A workshop without events, for runs that are logged."""

from pathlib import Path

import pytest
from tests.workshop import Workshop, boosted, declare, open_workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted), events=0)
