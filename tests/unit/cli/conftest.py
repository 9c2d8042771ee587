"""A shop for each test: made once, and copied."""

import shutil
from pathlib import Path

import pytest
from tests.unit.cli.shop import Shop, keep_predictions, write_project


@pytest.fixture
def empty_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The project's files and nothing else."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Shop(folder=tmp_path)


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops")
    write_project(folder)
    shop = Shop(folder=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shop.done("apply")
        shop.done("ingest", "visits.parquet")
        shop.done("train", "spending")
        keep_predictions(shop)
    return folder


@pytest.fixture
def shop(trained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The project applied, with events, a version of its model and a prediction."""
    folder = tmp_path / "shops"
    shutil.copytree(trained_folder, folder)
    monkeypatch.chdir(folder)
    return Shop(folder=folder)
