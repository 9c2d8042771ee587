"""The model directories beside this module, read."""

from pathlib import Path

from octavo.registry.formats.mlflow import read_directory


def directory(name: str) -> dict[str, bytes]:
    """All files of one of them."""
    return read_directory(Path(__file__).parent / name)
