"""Whether the predictor has applied a manifest, as it says itself in its status file."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from octavo.config import Config


class AppliedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """How far a predictor is with one deployment or composite.

    Attributes
    ----------
    sequence : int
        Of the manifest that it serves by.
    error : str or None
        Why it does not serve by the newest one; None if it does.
    """

    sequence: int = 0
    error: str | None = None


class PredictorSays(msgspec.Struct, frozen=True, kw_only=True):
    """The part of ``.octavo/predictor/status.json``, or another worker's, that matters here."""

    deployments: dict[str, AppliedManifest] = {}
    composites: dict[str, AppliedManifest] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What the predictor says of a manifest.

    Attributes
    ----------
    is_applied : bool
        Whether it serves by the manifest, or a later one.
    complaint : str
        Why it does not serve by the newest one that it has seen, be it this one or one before; empty if it does. It
        tries again by itself, so only a complaint that lasts is a refusal.
    """

    is_applied: bool
    complaint: str = ""


def acknowledgement(config: Config, deployment: str, *, sequence: int) -> Acknowledgement:
    """What the predictor says now of the manifest of a deployment with that sequence.

    A predictor that is not running has applied what it had applied: it starts with that again. One of several workers
    has applied what all of them have.
    """
    said = [_said(path).deployments.get(deployment, AppliedManifest()) for path in _status_files(config)]
    behind = [applied for applied in said if applied.sequence < sequence]
    if said and not behind:
        return Acknowledgement(is_applied=True)
    return Acknowledgement(is_applied=False, complaint=next((one.error for one in behind if one.error), ""))


def complaints(config: Config) -> dict[str, str]:
    """Why predictors do not serve by the newest manifests that they have seen, by deployment or composite."""
    found = (_said(path) for path in _status_files(config))
    told = (each.items() for said in found for each in (said.deployments, said.composites))
    return {name: one.error for items in told for name, one in items if one.error}


def _status_files(config: Config) -> list[Path]:
    return sorted((config.home / "predictor").glob("status*.json"))


def _said(path: Path) -> PredictorSays:
    try:
        return msgspec.json.decode(path.read_bytes(), type=PredictorSays)
    except (FileNotFoundError, msgspec.DecodeError):
        return PredictorSays()
