"""A project that is prepared once, and copied for each test."""

import shutil
from pathlib import Path

import pytest

from octavo.config import Config, load_config
from tests.integration.projects import prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with two versions, neither released."""
    return prepare(tmp_path_factory.mktemp("prepared") / "deliveries").root


@pytest.fixture
def config(prepared: Path, tmp_path: Path) -> Config:
    """A project of the test's own."""
    shutil.copytree(prepared, tmp_path / "deliveries")
    return load_config(tmp_path / "deliveries", {})
