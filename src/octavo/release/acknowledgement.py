"""Whether the predictor has applied a manifest, as it says itself in its status file."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from octavo.config import Config

_POLL_S = 0.002


class PredictorProcess(msgspec.Struct, frozen=True, kw_only=True):
    """The part of ``.octavo/run/predictor.json`` that matters here."""

    pid: int


class AppliedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """How far a predictor is with one deployment.

    Attributes
    ----------
    sequence : int
        Of the manifest that it serves by.
    error : str
        Why it does not serve by the newest one; empty if it does.
    """

    sequence: int = 0
    error: str | None = None


class PredictorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The part of ``.octavo/predictor/status.json`` that matters here."""

    deployments: dict[str, AppliedManifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What the predictor says of a manifest.

    Attributes
    ----------
    is_applied : bool
        Whether it serves by the manifest, or a later one.
    complaint : str
        Why it refuses it; empty if it does not.
    """

    is_applied: bool
    complaint: str = ""


def predictor_is_running(config: Config) -> bool:
    """Whether the process that called itself the predictor is alive."""
    process = _read(config.home / "run" / "predictor.json", PredictorProcess)
    return (
        process is not None and (Path("/proc") / str(process.pid)).exists()
        if Path("/proc").is_dir()
        else _alive(process)
    )


def acknowledgement(config: Config, deployment: str, *, sequence: int) -> Acknowledgement:
    """What the predictor says of a manifest now."""
