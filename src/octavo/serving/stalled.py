"""Versions in which a predictor stood still: noted by the process that ends, and asked no more by all its workers.

A version is asked no more only where a live one answers in its place, and only under the manifest by which it was
asked: a later one has it tried again. What it was to answer is recorded as failed, so that guards see it.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.errors import Unavailable
from octavo.release.manifests import Arm, DeploymentManifest
from octavo.release.shares import LIVE
from octavo.serving.lineup import Lineup
from octavo.serving.models import LoadedModel
from octavo.serving.status import write_atomically


class StalledModel(LoadedModel):
    """A model that is loaded, so that it is known what it takes, and never asked."""

    @classmethod
    def of(cls, model: LoadedModel) -> Self:
        """The same model, to be asked no more."""
        return cls(**{field.name: getattr(model, field.name) for field in fields(model)})

    def run(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Refuse.

        Raises
        ------
        Unavailable
        """
        raise Unavailable(f"model {self.plan.model!r} ({self.digest[:19]}) stood still before, and is asked no more")


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """The bundles in which processes stood still that served by a deployment's manifest of that sequence."""

    sequence: int
    digests: tuple[str, ...]


class Stalls:
    """What is noted on the predictor's own disk, by all its workers.

    Parameters
    ----------
    home : Path
        The project's platform folder.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / "predictor" / "stalled.json"

    def note(self, digest: str, lineups: Mapping[str, Lineup]) -> None:
        """Note that this process stands still in a bundle, for each deployment that it serves by it."""
        notes = self._read()
        for name, lineup in lineups.items():
            manifest, before = lineup.manifest, notes.get(name)
            if any(arm.digest == digest for arm in manifest.arms):
                known = before.digests if before is not None and before.sequence == manifest.sequence else ()
                notes[name] = _Note(sequence=manifest.sequence, digests=tuple({*known, digest}))
        write_atomically(self._file, msgspec.json.encode(notes))

    def of(self, manifest: DeploymentManifest) -> set[str]:
        """Those bundles of a manifest's arms that are not asked, since the live version is there to be."""
        note = self._read().get(manifest.deployment)
        live = {arm.digest for arm in manifest.arms if arm.role == LIVE}
        if note is None or note.sequence != manifest.sequence or not live:
            return set()
        return set(note.digests).intersection(arm.digest for arm in manifest.arms) - live

    def _read(self) -> dict[str, _Note]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, _Note])
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}


def stalled_in(lineup: Lineup) -> list[Arm]:
    """The arms of a lineup that are not asked."""
    return [served.arm for served in lineup.arms if isinstance(served.model, StalledModel)]


def stalled_in_words(lineup: Lineup) -> str | None:
    """Which versions are not asked; None if all are."""
    named = ", ".join(f"version {arm.version} ({arm.role})" for arm in stalled_in(lineup))
    if not named:
        return None
    return f"a process stood still in {named}, which is asked no more; version {lineup.version} answers in its place"
