"""Where a model version comes from: data, code, run, machine."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import distributions, version
from pathlib import Path

import msgspec

from octavo.errors import IntegrityError
from octavo.training.fit import TrainedModel


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


def provenance_of(trained: TrainedModel, *, folder: Path, parity: float) -> Provenance:
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
        octavo=version("octavo"),
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        parity=parity,
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


def environment_lock() -> str:
    """The installed distributions, one ``name==version`` a line."""
    installed = {found.metadata["Name"].lower(): found.version for found in distributions() if found.metadata["Name"]}
    return "".join(f"{name}=={release}\n" for name, release in sorted(installed.items()))


def _git(folder: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
