"""A predictor for each test."""

from pathlib import Path

import pytest
from tests.serving.predictors import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A predictor that serves nothing yet."""
    return make_bench(tmp_path)
