"""The models in a predictor's memory: loaded once each, kept a while after use, unloaded when they are too much.

What a deployment serves by is never unloaded. All else is, the one that was unused for longest first, as soon as the
models together take more than they may; and what neither a deployment nor an alias needs is, after a time in which to
go back to it costs nothing.
"""

import ctypes
import logging
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from octavo.clock import Clock
from octavo.errors import IntegrityError, Unavailable
from octavo.registry.bundles import BundleManifest, fetch_bundle
from octavo.registry.formats.tiers import FormatTier, format_tier
from octavo.registry.jail.opening import Jail
from octavo.registry.parts import PARTS_FOLDER
from octavo.release.manifests import Arm
from octavo.release.statements import ReleaseStatement
from octavo.serving.code import OpenFunctions, run_here
from octavo.serving.models import LoadedModel, load_model
from octavo.serving.status import ModelStatus
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

_MINUTE_US = 60_000_000


@dataclass(slots=True, kw_only=True, eq=False)
class _Kept:
    """A model in memory, and who needs it."""

    arm: Arm
    model: LoadedModel
    size_bytes: int
    deployments: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    left_at_us: int


class Fleet:
    """The models in memory. For the thread of the watcher, but for `note_use`.

    Parameters
    ----------
    artifacts : Artifacts
    folder : Path
        Where bundles are kept on the predictor's own disk.
    max_bytes : int
    keep_former_s : int
    clock : Clock
    open_functions : callable
        How the code of a version is run.
    jail : Jail or None
        Where pickles are opened; None where they are not.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        folder: Path,
        max_bytes: int,
        keep_former_s: int,
        clock: Clock,
        open_functions: OpenFunctions = run_here,
        jail: Jail | None = None,
    ) -> None:
        self._artifacts = artifacts
        self._jail = jail
        self._folder = folder
        self._max_bytes = max_bytes
        self._open_functions = open_functions
        self._keep_former_us = keep_former_s * 1_000_000
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._sizes: dict[str, int] = {}
        self._used_at_us: dict[str, int] = {}

    @property
    def status(self) -> tuple[ModelStatus, ...]:
        """What is in memory."""
        return tuple(
            ModelStatus(
                model=kept.arm.model,
                version=kept.arm.version,
                digest=digest,
                size_bytes=kept.size_bytes,
                deployments=kept.deployments,
                called=kept.called,
                used_at_us=self._last_use(digest) // _MINUTE_US * _MINUTE_US,
            )
            for digest, kept in self._kept.items()
        )

    def __contains__(self, digest: str) -> bool:
        return digest in self._kept

    def note_use(self, digest: str) -> None:
        """Remember that a model was just called for; by any thread."""
        self._used_at_us[digest] = self._clock.now_us()

    def load(self, arm: Arm, statement: ReleaseStatement | None = None) -> LoadedModel:
        """The model of an arm, loaded if it is not in memory yet, whatever room there is.

        Parameters
        ----------
        statement : ReleaseStatement or None
            What is signed about it, of a deployment's; it is held against the bundle before that is loaded.

        Raises
        ------
        IntegrityError
            If its bundle is not what it should be, or holds another model.
        NotFound, Unavailable
            If the bundle cannot be had.
        """
        kept = self._kept.get(arm.digest)
        if kept is not None and statement is not None:
            statement.check_bundle(kept.model.manifest, digest=arm.digest)
            self._check_tier(arm, kept.model.manifest, statement)
        model = self._loaded(arm, statement) if kept is None else kept.model
        if model.plan.model != arm.model:
            raise IntegrityError(f"bundle {arm.digest} holds model {model.plan.model!r}, not {arm.model!r}")
        return model

    def fit(self, arm: Arm) -> LoadedModel:
        """As `load`, if there is room for it beside what deployments serve by; others make way for it.

        Raises
        ------
        Unavailable
            If there is no room.
        """
        if arm.digest not in self._kept:
            self._check_room(arm, size_bytes=self._sizes.get(arm.digest, 0))
            self._make_room(self._max_bytes - self._sizes.get(arm.digest, 0))
        model = self.load(arm)
        try:
            self._check_room(arm, size_bytes=self._kept[arm.digest].size_bytes)
        except Unavailable:
            if not self._kept[arm.digest].deployments:
                self._unload(arm.digest, why="there is no room for it")
            raise
        self.note_use(arm.digest)
        self._make_room(self._max_bytes, sparing=arm.digest)
        return model

    def settle(self, *, deployments: Mapping[str, Iterable[str]], called: Mapping[str, Iterable[str]]) -> None:
        """Say who needs which models from now on.

        Parameters
        ----------
        deployments : mapping of digest to names of deployments
        called : mapping of digest to names by which it is called
        """
        now_us = self._clock.now_us()
        for digest, kept in self._kept.items():
            if kept.deployments or kept.called:
                kept.left_at_us = now_us
            kept.deployments = tuple(sorted(deployments.get(digest, ())))
            kept.called = tuple(sorted(called.get(digest, ())))

    def tidy(self) -> bool:
        """Unload what is needed no more, and what is too much; whether there was any."""
        before, now_us = len(self._kept), self._clock.now_us()
        for digest, kept in list(self._kept.items()):
            if not (kept.deployments or kept.called) and now_us >= kept.left_at_us + self._keep_former_us:
                self._unload(digest, why="nobody has needed it for a time")
        self._make_room(self._max_bytes)
        return len(self._kept) < before

    def _loaded(self, arm: Arm, statement: ReleaseStatement | None) -> LoadedModel:
        bundle = fetch_bundle(self._artifacts, arm.digest, into=self._folder)
        if statement is not None:
            statement.check_bundle(bundle.manifest, digest=arm.digest)
        self._check_tier(arm, bundle.manifest, statement)
        _return_free_memory()
        before = _resident_bytes()
        model = load_model(bundle, open_functions=self._open_functions, jail=self._jail)
        _return_free_memory()
        # What is allocated from memory that was free before does not show; less than its files no model takes.
        files = sum(
            entry.size_bytes
            for name, entry in bundle.manifest.files.items()
            if name.startswith(("model/", PARTS_FOLDER))
        )
        size = self._sizes[arm.digest] = max(_resident_bytes() - before, files)
        now_us = self._clock.now_us()
        self._kept[arm.digest] = _Kept(arm=arm, model=model, size_bytes=size, left_at_us=now_us)
        return model

    def _check_tier(self, arm: Arm, manifest: BundleManifest, statement: ReleaseStatement | None) -> None:
        """Refuse what is code, unless it is allowed here and a person has approved it."""
        if format_tier(manifest.format) is not FormatTier.CODE:
            return
        what = f"{arm.model} {arm.version} is of format {manifest.format!r}, which is code"
        if self._jail is None:
            raise IntegrityError(f"{what}; this predictor opens no code, as [models] allow_pickle is off")
        if statement is None or not statement.unsafe_by:
            raise IntegrityError(f"{what}, and its release statement names nobody who approved that it runs")

    def _check_room(self, arm: Arm, *, size_bytes: int) -> None:
        others = [kept for digest, kept in self._kept.items() if kept.deployments and digest != arm.digest]
        held = sum(kept.size_bytes for kept in others)
        if held + size_bytes > self._max_bytes:
            raise Unavailable(
                f"{arm.model} {arm.version} takes {size_bytes / 1e6:,.0f} MB of memory, and the models of deployments "
                f"{held / 1e6:,.0f} MB; [predictor] model_memory is {self._max_bytes / 1e6:,.0f} MB: raise it"
            )

    def _make_room(self, max_bytes: int, *, sparing: str = "") -> None:
        idle = [digest for digest, kept in self._kept.items() if not kept.deployments and digest != sparing]
        idle.sort(key=self._last_use, reverse=True)
        while idle and sum(kept.size_bytes for kept in self._kept.values()) > max_bytes:
            self._unload(idle.pop(), why="others need its memory")

    def _unload(self, digest: str, *, why: str) -> None:
        kept = self._kept.pop(digest)
        self._used_at_us.pop(digest, None)
        log.info("model unloaded", extra={"model": kept.arm.model, "version": kept.arm.version, "why": why})

    def _last_use(self, digest: str) -> int:
        return max(self._used_at_us.get(digest, 0), self._kept[digest].left_at_us)


def _resident_bytes() -> int:
    """How much memory the process takes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * mmap.PAGESIZE


def _return_free_memory() -> None:
    """Have the allocator give back what is free, so that the process shows what it needs; not known by every system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
