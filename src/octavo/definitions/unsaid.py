"""Fields that are not written down while nobody says anything by them, so that what came before them is no change."""

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

UNSAID: Mapping[str, bool] = {"unsaid": True}
"""The metadata of such a field."""


def is_unsaid(definition: object, name: str) -> bool:
    """Whether a field of a dataclass is one of those, and has its default."""
    fields: Mapping[str, Any] = type(definition).__dataclass_fields__  # type: ignore[attr-defined]  # it is one
    declared = fields[name]
    if not declared.metadata.get("unsaid") or declared.default is MISSING:
        return False
    return bool(getattr(definition, name) == declared.default)
