"""How far a model's format is trusted. Light: a predictor imports it.

A version is of one tier, for good: nothing that cannot be read in its own is tried in another.
"""

from enum import StrEnum

from octavo.registry.bundles import BundleManifest
from octavo.registry.forms import Form, Forms

PICKLE = "pickle"
PICKLE_FILE = "model/model.pkl"


class FormatTier(StrEnum):
    """What opening a model may do."""

    DATA = "data"
    """Read numbers."""
    LISTED = "listed"
    """Make objects of types that stand on a list (skops)."""
    CODE = "code"
    """Anything (pickle)."""


_TIERS = {
    "catboost": FormatTier.DATA,
    "lightgbm": FormatTier.DATA,
    "onnx": FormatTier.DATA,
    "torch": FormatTier.DATA,
    "xgboost": FormatTier.DATA,
    "sklearn": FormatTier.LISTED,
    PICKLE: FormatTier.CODE,
}


def format_tier(name: str) -> FormatTier:
    """The tier of a format; what is not known is code."""
    return _TIERS.get(name, FormatTier.CODE)


def tier_of(manifest: BundleManifest, forms: Forms, *others: Forms) -> FormatTier:
    """The tier of what is opened to serve a bundle: of a model that is served compiled, data alone.

    Parameters
    ----------
    forms, others
        Of the model, and of each of its parts.
    """
    tier = format_tier(manifest.format)
    if tier is FormatTier.CODE or any(Form.NATIVE in one.used for one in (forms, *others)):
        return tier
    return FormatTier.DATA
