"""Where a model version comes from: data, code, run, machine."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path

import msgspec

from octavo.errors import IntegrityError
from octavo.registry.bundles import PROVENANCE, decode_manifest
from octavo.registry.parity import Parity
from octavo.stores.ports import Artifacts
from octavo.training.fit import TrainedModel
from octavo.training.origins import Origin

_LIBRARIES = (
    "catboost",
    "duckdb",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "skl2onnx",
    "skops",
    "xgboost",
    "xgboost-cpu",
)
_SEPARATORS = re.compile(r"[-_.]+")
_GIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Everything that it takes to make the same version again, by digest.

    Attributes
    ----------
    dataset : str
        Digest of the training set.
    tables : mapping of table to version
        What was read.
    unripe : int
        Rows left out, because their labels became known only during the held-out stretch.
    code : str
        Digest of the project's modules, which travel in the bundle.
    commit : str or None
        Of the project's git repository, if it is in one.
    uncommitted : bool
        Whether the project had changes that are not in that commit.
    parity : float
        Largest difference between the compiled and the native model, as a share of what is allowed.
    refused : tuple of str
        Kinds of rows that the native model refuses.
    origin : Origin or None
        Where it was fitted, if it was not here; dataset and tables are then what it was judged on.
    seen : int
        Held-out rows that it may have learned from, as they are older than what was made elsewhere.
    libraries : mapping of distribution to version
        Those that made the model, of all that are in the environment.
    """

    run: str
    trigger: str
    as_of: datetime
    holdout_from: datetime
    dataset: str
    tables: Mapping[str, int]
    unripe: int
    code: str
    commit: str | None
    uncommitted: bool
    octavo: str
    python: str
    machine: str
    parity: float
    refused: tuple[str, ...] = ()
    origin: Origin | None = None
    seen: int = 0
    libraries: Mapping[str, str] = field(default_factory=dict)


def provenance_of(trained: TrainedModel, *, folder: Path, environment: Mapping[str, str], parity: Parity) -> Provenance:
    """The provenance of what was trained now, in a project's folder."""
    data, run = trained.training_set, trained.run
    commit, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", ".")
    return Provenance(
        run=run.id,
        trigger=run.trigger,
        as_of=data.as_of,
        holdout_from=data.holdout_from,
        dataset=data.digest,
        tables=data.table_versions,
        unripe=data.unripe,
        code=run.code,
        commit=commit,
        uncommitted=bool(commit and status),
        octavo=environment.get("octavo", ""),
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        parity=parity.worst,
        refused=parity.refused,
        origin=trained.origin,
        seen=trained.seen,
        libraries={name: environment[name] for name in _LIBRARIES if name in environment},
    )


def encode_provenance(provenance: Provenance) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(provenance, order="deterministic")


def decode_provenance(data: bytes) -> Provenance:
    """The provenance that `encode_provenance` wrote.

    Raises
    ------
    IntegrityError
        If the bytes are none.
    """
    try:
        return msgspec.json.decode(data, type=Provenance)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"these bytes are no provenance of a model: {error}; train the model again") from error


def provenance_in(artifacts: Artifacts, digest: str) -> Provenance:
    """The provenance in a bundle.

    Raises
    ------
    IntegrityError
        If the bundle holds none that can be read.
    """
    manifest = decode_manifest(artifacts.get(digest), digest=digest)
    return decode_provenance(artifacts.get(manifest.files[PROVENANCE].digest))


def installed_distributions() -> dict[str, str]:
    """The version of each installed distribution, by its normalized name (PEP 503), in order."""
    found = ((one.metadata["Name"], one.version) for one in distributions())
    return dict(sorted((_SEPARATORS.sub("-", name).lower(), version) for name, version in found if name))


def environment_lock(environment: Mapping[str, str]) -> str:
    """One ``name==version`` a line, as pip reads them."""
    return "".join(f"{name}=={version}\n" for name, version in environment.items())


def _git(folder: Path, *command: str) -> str | None:
    """What git says without writing anything; None if there is no git, no repository or no commit."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *command], cwd=folder, env=quiet, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
