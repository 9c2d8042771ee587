"""Models that were fitted elsewhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a model comes from that was not trained here.

    Attributes
    ----------
    made_by : str
        What wrote it: ``MLflow 3.17.2, flavour lightgbm``.
    digest : str
        Of all files that it was read from.
    made_at : datetime or None
        When it was made, as it says itself.
    run : str
        Of the training there; empty if it is not said.
    """

    made_by: str
    digest: str
    made_at: datetime | None = None
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedModel:
    """An estimator that was fitted elsewhere, and where that was."""

    estimator: Any
    origin: Origin
