"""Keeps a predictor's lineups up to date: finds manifests, verifies them, fetches bundles, swaps.

A manifest counts only if the project's release key signed it, it is for this project and deployment, its sequence is
above that of the one being served, and each of its arms comes with a statement that fits it and its bundle. Whatever
fails, the last good lineup goes on. What was applied is kept on the predictor's own disk, so that it starts without the
artifacts.
"""

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import msgspec

from octavo.clock import Clock
from octavo.config import Config
from octavo.definitions.plans import LookupPlan
from octavo.definitions.types import seconds, size_bytes
from octavo.errors import ConfigurationError, InvalidDefinition, OctavoError
from octavo.registry.jail.opening import Jail
from octavo.registry.signing import Verifier
from octavo.release.manifests import FOLDER, PURPOSE, Arm, DeploymentManifest
from octavo.release.statements import check_statements
from octavo.serving.alias_watcher import AliasWatcher
from octavo.serving.code import OpenFunctions, run_here
from octavo.serving.composed import Composed, ServedComposite
from octavo.serving.composite_watcher import CompositeWatcher
from octavo.serving.fellows import Worker
from octavo.serving.fleet import Fleet
from octavo.serving.following import Following, Kind
from octavo.serving.lineup import Lineup
from octavo.serving.lookup import FeatureLookup
from octavo.serving.models import LoadedModel
from octavo.serving.stalled import StalledModel, Stalls, stalled_in, stalled_in_words
from octavo.serving.status import DeploymentStatus, ModelStatus, PredictorStatus, write_atomically
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

_KIND = Kind(folder=FOLDER, purpose=PURPOSE, manifest=DeploymentManifest, named=lambda manifest: manifest.deployment)
POLL_S = 0.1
_LONG_S = 0.5
"""So long a look takes that waits for a model."""


class Watcher:
    """Follows the published manifests of a project.

    Parameters
    ----------
    config : Config
    artifacts : Artifacts
    clock : Clock
    lookup_of : callable
        Makes the lookup of a plan's views.
    worker : Worker
        Whose status is written.
    open_functions : callable
        How the code of versions and composites is run.

    Attributes
    ----------
    lineups : dict of deployment name to Lineup
        What is served; each value is replaced as a whole.
    stopped : dict of deployment name to DeploymentManifest
        Those that are stopped and of whose versions none is here.
    has_looked : bool
        Whether it has looked for manifests at least once.
    aliases : AliasWatcher
        What is called without a deployment.
    composed : dict of composite name to Composed
        Those that have been asked; what is not of the lineups of now is let go.
    """

    def __init__(
        self,
        config: Config,
        artifacts: Artifacts,
        *,
        clock: Clock,
        lookup_of: Callable[[LookupPlan], FeatureLookup],
        worker: Worker | None = None,
        open_functions: OpenFunctions = run_here,
    ) -> None:
        self.lineups: dict[str, Lineup] = {}
        self.stopped: dict[str, DeploymentManifest] = {}
        self.composed: dict[str, Composed] = {}
        self.has_looked = False
        self._config = config
        self._artifacts = artifacts
        self._clock = clock
        self._lookup_of = lookup_of
        self._home = config.home / "predictor"
        self._key = config.home / "keys" / "release.pub"
        self._is_restoring = False
        self._stalls = Stalls(config.home)
        self._status_file = (worker or Worker()).status_file(config.home)
        self._composites = CompositeWatcher(config, artifacts, open_functions=open_functions)
        self._following = Following(config, artifacts, kind=_KIND, prepare=self._prepared, refused=self._note_refused)
        self._fleet = _fleet(config, artifacts, clock=clock, open_functions=open_functions)
        self._news = threading.Event()
        self.aliases = AliasWatcher(
            config,
            artifacts,
            fleet=self._fleet,
            clock=clock,
            deployed=self.lineups,
            lineup_of=self._lineup,
            wake=self._news.set,
        )
        self._models: tuple[ModelStatus, ...] = ()
        self._statuses: dict[str, DeploymentStatus] = {}
        self._error: str | None = None
        self._written: PredictorStatus | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._busy_since_s: float | None = None
        self._urgent: dict[str, DeploymentManifest] = {}
        self._stops = threading.Thread(target=self._stop_in_time, name="stops", daemon=True)

    @property
    def composites(self) -> dict[str, ServedComposite]:
        """The composites that are served; each value is replaced as a whole."""
        return self._composites.served

    @property
    def status(self) -> PredictorStatus:
        """What is served now."""
        return PredictorStatus(
            pid=os.getpid(),
            deployments=dict(self._statuses),
            composites=self._composites.statuses,
            error=self._error,
            models=self._models,
            alias_errors=dict(self.aliases.errors),
        )

    def restore(self) -> None:
        """Apply the manifests on the predictor's own disk, for which nothing else is needed."""
        self._is_restoring = True
        self._following.restore()
        self._is_restoring = False
        self._composites.restore()
        self.aliases.restore()
        self._settle()
        self._write_status()

    def look(self) -> None:
        """Look for new manifests once and apply them."""
        try:
            self._following.look()
            self._composites.look()
            self.aliases.look()
            self._heed_stalls()
            self._error = None
        except OctavoError as error:
            self._error = error.message
        self.has_looked = True
        self.aliases.fulfil()
        self._settle()
        self._write_status()

    def note_stall(self, digest: str) -> None:
        """Have all workers know that this process stands still in a model; from any thread."""
        self._stalls.note(digest, dict(self.lineups))

    def start(self) -> None:
        """Look from now on, in a thread of its own, until `stop`; another sees to stops while that one loads models."""
        self._thread.start()
        self._stops.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._news.set()
        self._thread.join(timeout=10)
        self._stops.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(POLL_S)
            self._news.clear()
            self._busy_since_s = time.monotonic()
            try:
                self.look()
            except Exception:  # the edge of a thread that must not die; what is served stays
                log.exception("looking for manifests failed")
            self._busy_since_s = None

    def _stop_in_time(self) -> None:
        """Apply stops while the other thread is busy, be it with a model that takes minutes to load."""
        while not self._stop.wait(POLL_S):
            busy_since_s = self._busy_since_s
            if busy_since_s is not None and time.monotonic() - busy_since_s > _LONG_S:
                try:
                    self.look_for_stops()
                except Exception:  # the edge of a thread that must not die
                    log.exception("looking for stops failed")

    def look_for_stops(self) -> None:
        """Have the models of deployments that are stopped be asked no more; all else is left to `look`."""
        for deployment, manifest in self._following.newer():
            if manifest.stopped and self._urgent.get(deployment) != manifest:
                self._urgent[deployment] = manifest
                if (lineup := self.lineups.get(deployment)) is not None:
                    self.lineups[deployment] = lineup.stopped_by(manifest)
                log.warning("stopped, before other manifests are applied", extra={"deployment": deployment})

    def _prepared(self, deployment: str, manifest: DeploymentManifest) -> Callable[[], None]:
        try:
            lineup = self._checked_lineup(manifest)
        except (OctavoError, OSError) as error:
            # A stop needs no version that can be served: whatever is wrong with one is a reason more to stop.
            if not manifest.stopped:
                raise
            log.error("a stop is applied without its versions", extra={"reason": str(error)})
            known = self.lineups.get(deployment)
            if known is None:
                return lambda: self._stop_without_versions(deployment, manifest)
            lineup = known.stopped_by(manifest)
        return lambda: self._put_live(deployment, lineup)

    def _checked_lineup(self, manifest: DeploymentManifest) -> Lineup:
        now_us = None if self._is_restoring else self._clock.now_us()
        statements = check_statements(manifest, Verifier.load(self._key), now_us=now_us)
        return self._lineup(manifest, lambda arm: self._fleet.load(arm, statements[arm.role, arm.digest]))

    def _stop_without_versions(self, deployment: str, manifest: DeploymentManifest) -> None:
        self.stopped[deployment] = manifest
        self._statuses[deployment] = DeploymentStatus(
            sequence=manifest.sequence, applied_at_us=self._clock.now_us(), stopped=manifest.stopped
        )

    def _put_live(self, deployment: str, lineup: Lineup) -> None:
        urgent = self._urgent.get(deployment)
        if urgent is not None and urgent.sequence > lineup.manifest.sequence:
            lineup = lineup.stopped_by(urgent)
        else:
            self._urgent.pop(deployment, None)
        self.lineups[deployment] = lineup
        self.stopped.pop(deployment, None)
        manifest = lineup.manifest
        self._statuses[deployment] = DeploymentStatus(
            sequence=manifest.sequence,
            error=stalled_in_words(lineup),
            applied_at_us=self._clock.now_us(),
            arms=manifest.arms,
            stopped=manifest.stopped,
        )
        self._note_holders()

    def _note_refused(self, deployment: str, reason: str) -> None:
        status = self._statuses.get(deployment, DeploymentStatus())
        self._statuses[deployment] = msgspec.structs.replace(status, error=reason)

    def _lineup(self, manifest: DeploymentManifest, load: Callable[[Arm], LoadedModel]) -> Lineup:
        models = {arm.digest: load(arm) for arm in manifest.arms}
        models |= {digest: StalledModel.of(models[digest]) for digest in self._stalls.of(manifest)}
        return Lineup(manifest, models, lookup_of=self._lookup_of, max_rows=self._config.predictor.max_rows)

    def _heed_stalls(self) -> None:
        """Ask those versions no more in which another worker stood still."""
        for name, lineup in list(self.lineups.items()):
            if self._stalls.of(lineup.manifest) != {arm.digest for arm in stalled_in(lineup)}:
                self._put_live(name, self._lineup(lineup.manifest, self._fleet.load))

    def _settle(self) -> None:
        """Unload what is needed no more."""
        for name, known in list(self.composed.items()):
            if not known.is_of(self.composites.get(name), self.lineups):
                self.composed.pop(name, None)
        self._note_holders()
        if self._fleet.tidy():
            self.aliases.forget_unloaded()
            self._note_holders()
        self._models = self._fleet.status

    def _note_holders(self) -> None:
        """Say to the fleet who needs which models."""
        deployments, called = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for holders, lineups in ((deployments, self.lineups), (called, self.aliases.served)):
            for name, lineup in lineups.items():
                for arm in lineup.manifest.arms:
                    holders[arm.digest].add(name)
        self._fleet.settle(deployments=deployments, called=called)

    def _write_status(self) -> None:
        status = self.status
        if status != self._written:
            write_atomically(self._status_file, msgspec.json.encode(status))
            self._written = status


def _fleet(config: Config, artifacts: Artifacts, *, clock: Clock, open_functions: OpenFunctions) -> Fleet:
    settings = config.predictor
    try:
        max_bytes = size_bytes(settings.model_memory, what="amount of memory")
        keep_former_s = seconds(settings.keep_former)
    except InvalidDefinition as error:
        raise ConfigurationError(f"[predictor] model_memory or keep_former: {error.message}") from error
    return Fleet(
        artifacts,
        folder=config.home / "predictor" / "bundles",
        max_bytes=max_bytes,
        keep_former_s=keep_former_s,
        clock=clock,
        open_functions=open_functions,
        jail=Jail.of(config),
    )
