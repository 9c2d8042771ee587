"""What a predictor says of itself: which manifests it serves by, and why not by newer ones.

It stands in ``.octavo/predictor/status.json``, where the release machinery reads it as an acknowledgement, and is
answered by ``GET /status``.
"""

import os
from pathlib import Path

import msgspec

from octavo.release.manifests import Arm


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a predictor is with one deployment.

    Attributes
    ----------
    sequence : int
        Of the manifest that it serves by; 0 if it serves by none.
    error : str or None
        Why it does not serve by the newest one; None if it does.
    """

    sequence: int = 0
    error: str | None = None
    applied_at_us: int | None = None
    arms: tuple[Arm, ...] = ()


class PredictorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a predictor serves.

    Attributes
    ----------
    error : str or None
        Why it cannot look for new manifests; None if it can.
    fellows : tuple of PredictorStatus
        The other workers of the same predictor.
    """

    pid: int
    deployments: dict[str, DeploymentStatus] = {}
    error: str | None = None
    fellows: tuple["PredictorStatus", ...] = ()


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace a file in one step; with `sync`, the new content survives a crash of the machine when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    with scratch.open("wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    scratch.replace(path)
