"""Keeps a predictor's lineups up to date: finds manifests, verifies them, fetches bundles, swaps.

A manifest counts only if the project's release key signed it, it is for this project and deployment, and its sequence
is above that of the one being served. Whatever fails, the last good lineup goes on. What was applied is kept on the
predictor's own disk, so that it starts without the artifacts.
"""

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable

import msgspec

from octavo.clock import Clock
from octavo.config import Config
from octavo.definitions.plans import LookupPlan
from octavo.definitions.types import seconds, size_bytes
from octavo.errors import ConfigurationError, InvalidDefinition, OctavoError
from octavo.release.manifests import FOLDER, PURPOSE, Arm, DeploymentManifest
from octavo.serving.alias_watcher import AliasWatcher
from octavo.serving.code import OpenFunctions, run_here
from octavo.serving.composite_watcher import CompositeWatcher
from octavo.serving.composites import ServedComposite
from octavo.serving.fellows import Worker
from octavo.serving.fleet import Fleet
from octavo.serving.following import Following, Kind
from octavo.serving.lineup import Lineup
from octavo.serving.lookup import FeatureLookup
from octavo.serving.models import LoadedModel
from octavo.serving.status import DeploymentStatus, ModelStatus, PredictorStatus, write_atomically
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

_KIND = Kind(folder=FOLDER, purpose=PURPOSE, manifest=DeploymentManifest, named=lambda manifest: manifest.deployment)
POLL_S = 0.1


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
    has_looked : bool
        Whether it has looked for manifests at least once.
    aliases : AliasWatcher
        What is called without a deployment.
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
        self.has_looked = False
        self._config = config
        self._artifacts = artifacts
        self._clock = clock
        self._lookup_of = lookup_of
        self._home = config.home / "predictor"
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

    @property
    def composites(self) -> dict[str, ServedComposite]:
        """The composites that are served; each value is replaced as a whole."""
        return self._composites.served

    @property
    def composite_errors(self) -> dict[str, str]:
        """Why the newest manifest of a composite is not served by, by the composite's name."""
        return self._composites.errors

    @property
    def status(self) -> PredictorStatus:
        """What is served now."""
        return PredictorStatus(
            pid=os.getpid(),
            deployments=dict(self._statuses),
            error=self._error,
            models=self._models,
            alias_errors=dict(self.aliases.errors),
        )

    def restore(self) -> None:
        """Apply the manifests on the predictor's own disk, for which nothing else is needed."""
        self._following.restore()
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
            self._error = None
        except OctavoError as error:
            self._error = error.message
        self.has_looked = True
        self.aliases.fulfil()
        self._settle()
        self._write_status()

    def start(self) -> None:
        """Look from now on, in a thread of its own, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._news.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(POLL_S)
            self._news.clear()
            try:
                self.look()
            except Exception:  # the edge of a thread that must not die; what is served stays
                log.exception("looking for manifests failed")

    def _prepared(self, deployment: str, manifest: DeploymentManifest) -> Callable[[], None]:
        lineup = self._lineup(manifest, self._fleet.load)
        return lambda: self._put_live(deployment, lineup)

    def _put_live(self, deployment: str, lineup: Lineup) -> None:
        self.lineups[deployment] = lineup
        manifest = lineup.manifest
        self._statuses[deployment] = DeploymentStatus(
            sequence=manifest.sequence, applied_at_us=self._clock.now_us(), arms=manifest.arms
        )
        self._note_holders()

    def _note_refused(self, deployment: str, reason: str) -> None:
        status = self._statuses.get(deployment, DeploymentStatus())
        self._statuses[deployment] = msgspec.structs.replace(status, error=reason)

    def _lineup(self, manifest: DeploymentManifest, load: Callable[[Arm], LoadedModel]) -> Lineup:
        models = {arm.digest: load(arm) for arm in manifest.arms}
        return Lineup(manifest, models, lookup_of=self._lookup_of, max_rows=self._config.predictor.max_rows)

    def _settle(self) -> None:
        """Unload what is needed no more."""
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
    )
