"""The estimator that a peer serves. Read in the peers' environments, so it needs nothing of Octavo."""

import json
from pathlib import Path
from typing import Any

import joblib

FOLDER = Path("fitted")


def fields() -> dict[str, str]:
    """What the estimator takes, in order: names, and whether each is a ``number`` or a ``category``."""
    taken: dict[str, str] = json.loads((FOLDER / "fields.json").read_text(encoding="utf-8"))
    return taken


def estimator() -> Any:
    """As its training function returned it; asked by a DataFrame of the fields, or by an array if all are numbers."""
    return joblib.load(FOLDER / "model.joblib")
