"""What a predictor says of itself: which manifests it serves by, and why not by newer ones.

It stands in ``.octavo/predictor/status.json``, where the release machinery reads it as an acknowledgement, and is
answered by ``GET /status``.
"""

import os
from pathlib import Path

import msgspec

from octavo.processes import PREDICTOR, find_running
from octavo.release.manifests import Arm


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a predictor is with one deployment.

    Attributes
    ----------
    sequence : int
        Of the manifest that it serves by; 0 if it serves by none.
    error : str or None
        Why it does not serve by the newest one, or not by all of it; None if it does.
    stopped : str
        Why no model is asked; empty if it is not stopped.
    """

    sequence: int = 0
    error: str | None = None
    applied_at_us: int | None = None
    arms: tuple[Arm, ...] = ()
    stopped: str = ""


class CompositeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a predictor is with one composite.

    Attributes
    ----------
    version : int
        That it serves; 0 if none.
    error : str or None
        Why it does not serve by the newest manifest; None if it does.
    """

    version: int = 0
    error: str | None = None


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A model in memory.

    Attributes
    ----------
    size_bytes : int
        By how much the process grew when it was loaded.
    deployments : tuple of str
        Those that serve by it; while there is one it stays.
    called : tuple of str
        The names by which it is called without a deployment.
    used_at_us : int
        To the minute: when it was last called by such a name, or else when it was loaded or left by a deployment.
    """

    model: str
    version: int
    digest: str
    size_bytes: int
    deployments: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    used_at_us: int = 0


class PredictorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a predictor serves.

    Attributes
    ----------
    error : str or None
        Why it cannot look for new manifests; None if it can.
    models : tuple of ModelStatus
        Those in its memory.
    alias_errors : dict of model to str
        Why the newest aliases of a model are not followed.
    fellows : tuple of PredictorStatus
        The other workers of the same predictor.
    """

    pid: int
    deployments: dict[str, DeploymentStatus] = {}
    composites: dict[str, CompositeStatus] = {}
    error: str | None = None
    models: tuple[ModelStatus, ...] = ()
    alias_errors: dict[str, str] = {}
    fellows: tuple["PredictorStatus", ...] = ()


def models_in_memory(home: Path) -> tuple[ModelStatus, ...]:
    """What the running predictor has in memory, all its workers taken together; nothing if none runs.

    Parameters
    ----------
    home : Path
        The project's platform folder.
    """
    if find_running(home, PREDICTOR) is None:
        return ()
    found: dict[str, ModelStatus] = {}
    for path in sorted((home / "predictor").glob("status*.json")):
        for model in _models_of(path):
            before = found.get(model.digest)
            found[model.digest] = model if before is None else _together(before, model)
    return tuple(sorted(found.values(), key=lambda one: (one.model, one.version)))


def _models_of(path: Path) -> tuple[ModelStatus, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=PredictorStatus).models
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()  # it has not looked yet


def _together(one: ModelStatus, other: ModelStatus) -> ModelStatus:
    return msgspec.structs.replace(
        one,
        size_bytes=one.size_bytes + other.size_bytes,
        deployments=tuple(sorted({*one.deployments, *other.deployments})),
        called=tuple(sorted({*one.called, *other.called})),
        used_at_us=max(one.used_at_us, other.used_at_us),
    )


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
