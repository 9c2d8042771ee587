"""A person's word that the code of a model may run: one record for each version whose model is a pickle."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from octavo.operations import Context
from octavo.registry.bundles import BundleManifest
from octavo.registry.formats.tiers import FormatTier, format_tier
from octavo.registry.versions import ModelVersion
from octavo.stores.ports import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsafeApproval:
    """That somebody who may has approved that the code of a version's model runs.

    Attributes
    ----------
    digest : str
        Of the bundle that was approved.
    by : str
    note : str
        Why; it is kept.
    """

    kind: ClassVar[str] = "unsafe_approval"

    model: str
    version: int
    digest: str
    by: str
    at: datetime
    note: str = ""

    @property
    def key(self) -> str:
        return f"{self.model}/{self.version}"


def unsafe_approvers(tx: Transaction, *, model: str, version: int, digest: str) -> tuple[str, ...]:
    """Who approved that the code of a version's model runs; empty if nobody did."""
    found = tx.get(UnsafeApproval, f"{model}/{version}")
    return () if found is None or found.digest != digest else (found.by,)


def unsafe_without_word(context: Context, version: ModelVersion, manifest: BundleManifest) -> str:
    """Why a version whose model is code must not be released; empty if it may be, or is data."""
    if format_tier(manifest.format) is not FormatTier.CODE:
        return ""
    what = f"the model of {version.model} {version.version} is of format {manifest.format!r}, which is code"
    if not context.config.models.allow_pickle:
        return f"{what}, and [models] allow_pickle is off"
    with context.transaction() as tx:
        approvers = unsafe_approvers(tx, model=version.model, version=version.version, digest=version.digest)
    if not approvers:
        return f"{what}, and nobody has approved that it runs: octavo models vouch {version.model} {version.version}"
    return ""
