"""Keeps a predictor's lineups up to date: finds manifests, verifies them, fetches bundles, swaps.

A manifest counts only if the project's release key signed it, it is for this project and deployment, and its sequence
is above that of the one being served. Whatever fails, the last good lineup goes on. What was applied is kept on the
predictor's own disk, so that it starts without the artifacts.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from octavo.clock import Clock
from octavo.config import Config
from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError, OctavoError
from octavo.features.online.reader import OnlineReader
from octavo.registry.bundles import fetch_bundle
from octavo.registry.signing import Verifier
from octavo.release.manifests import Arm, DeploymentManifest, SignedManifest, document_name
from octavo.serving.lineup import Lineup
from octavo.serving.models import LoadedModel, load_model
from octavo.serving.status import DeploymentStatus, PredictorStatus, write_atomically
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

PURPOSE = "octavo/deployment-manifest/v1"
POLL_S = 0.1
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0
_PREFIX, _SUFFIX = "deployments/", ".json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """A document that could not be applied, and when it is tried again; on the clock of `time.monotonic`."""

    document: bytes
    pause_s: float
    again_at_s: float


class Watcher:
    """Follows the published manifests of a project.

    Parameters
    ----------
    config : Config
    artifacts : Artifacts
    clock : Clock
    reader_of : callable
        Makes the reader of a plan's views.

    Attributes
    ----------
    lineups : dict of deployment name to Lineup
        What is served; each value is replaced as a whole.
    has_looked : bool
        Whether it has looked for manifests at least once.
    """

    def __init__(
        self, config: Config, artifacts: Artifacts, *, clock: Clock, reader_of: Callable[[LookupPlan], OnlineReader]
    ) -> None:
        self.lineups: dict[str, Lineup] = {}
        self.has_looked = False
        self._config = config
        self._artifacts = artifacts
        self._clock = clock
        self._reader_of = reader_of
        self._home = config.home / "predictor"
        self._models: dict[str, LoadedModel] = {}
        self._applied: dict[str, bytes] = {}
        self._refused: dict[str, _Refused] = {}
        self._statuses: dict[str, DeploymentStatus] = {}
        self._error: str | None = None
        self._written: PredictorStatus | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    @property
    def status(self) -> PredictorStatus:
        """What is served now."""
        return PredictorStatus(pid=os.getpid(), deployments=dict(self._statuses), error=self._error)

    def restore(self) -> None:
        """Apply the manifests on the predictor's own disk, for which nothing else is needed."""
        for path in sorted((self._home / "deployments").glob(f"*{_SUFFIX}")):
            self._consider(path.name.removesuffix(_SUFFIX), path.read_bytes())
        self._write_status()

    def look(self) -> None:
        """Look for new manifests once and apply them."""
        try:
            for deployment, document in self._published():
                if self._is_due(deployment, document):
                    self._consider(deployment, document)
            self._error = None
        except OctavoError as error:
            self._error = error.message
        self.has_looked = True
        self._write_status()

    def start(self) -> None:
        """Look from now on, in a thread of its own, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.look()
            except Exception:  # the edge of a thread that must not die; what is served stays
                log.exception("looking for manifests failed")

    def _published(self) -> Iterator[tuple[str, bytes]]:
        for name in self._artifacts.published_names(_PREFIX):
            deployment = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
            if name == document_name(deployment) and (document := self._artifacts.published(name)) is not None:
                yield deployment, document

    def _is_due(self, deployment: str, document: bytes) -> bool:
        if document == self._applied.get(deployment):
            return False
        refused = self._refused.get(deployment)
        return refused is None or refused.document != document or time.monotonic() >= refused.again_at_s

    def _consider(self, deployment: str, document: bytes) -> None:
        """Apply a document, or note why not."""
        try:
            lineup = self._lineup(self._verified(deployment, document))
            write_atomically(self._home / document_name(deployment), document)
        except (OctavoError, OSError) as error:
            self._refuse(deployment, document, reason=str(error))
            return
        self.lineups[deployment] = lineup
        self._applied[deployment] = document
        self._refused.pop(deployment, None)
        manifest = lineup.manifest
        self._statuses[deployment] = DeploymentStatus(
            sequence=manifest.sequence, applied_at_us=self._clock.now_us(), arms=manifest.arms
        )
        self._forget_models()
        log.info("manifest applied", extra={"deployment": deployment, "sequence": manifest.sequence})

    def _refuse(self, deployment: str, document: bytes, *, reason: str) -> None:
        before = self._refused.get(deployment)
        again = before is not None and before.document == document
        pause_s = min(before.pause_s * 2, _LAST_RETRY_S) if before and again else _FIRST_RETRY_S
        self._refused[deployment] = _Refused(document=document, pause_s=pause_s, again_at_s=time.monotonic() + pause_s)
        status = self._statuses.get(deployment, DeploymentStatus())
        self._statuses[deployment] = msgspec.structs.replace(status, error=reason)
        if not again:
            log.error("manifest refused; the last good one goes on", extra={"deployment": deployment, "reason": reason})

    def _verified(self, deployment: str, document: bytes) -> DeploymentManifest:
        verifier = Verifier.load(self._config.home / "keys" / "release.pub")
        signed = _decode(document, SignedManifest, deployment=deployment)
        verifier.verify(PURPOSE, signed.payload, signed.signature)
        manifest = _decode(signed.payload, DeploymentManifest, deployment=deployment)
        if (manifest.project, manifest.deployment) != (self._config.project.name, deployment):
            raise IntegrityError(
                f"the manifest published for {deployment!r} of project {self._config.project.name!r} is one "
                f"for {manifest.deployment!r} of {manifest.project!r}; publish the right one"
            )
        serving = self.lineups[deployment].manifest if deployment in self.lineups else manifest
        if manifest.sequence <= serving.sequence and manifest != serving:
            raise IntegrityError(
                f"manifest {manifest.sequence} of {deployment!r} is not newer than {serving.sequence}, now served; "
                "publish it under a higher sequence"
            )
        return manifest

    def _lineup(self, manifest: DeploymentManifest) -> Lineup:
        models = {arm.digest: self._model(arm) for arm in manifest.arms}
        return Lineup(manifest, models, reader_of=self._reader_of, max_rows=self._config.predictor.max_rows)

    def _model(self, arm: Arm) -> LoadedModel:
        model = self._models.get(arm.digest)
        if model is None:
            model = load_model(fetch_bundle(self._artifacts, arm.digest, into=self._home / "bundles"))
            self._models[arm.digest] = model
        if model.plan.model != arm.model:
            raise IntegrityError(f"bundle {arm.digest} holds model {model.plan.model!r}, not {arm.model!r}")
        return model

    def _forget_models(self) -> None:
        used = {arm.digest for lineup in self.lineups.values() for arm in lineup.manifest.arms}
        self._models = {digest: model for digest, model in self._models.items() if digest in used}

    def _write_status(self) -> None:
        status = self.status
        if status != self._written:
            write_atomically(self._home / "status.json", msgspec.json.encode(status))
            self._written = status


def _decode(data: bytes, kind: type[T], *, deployment: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"the manifest of {deployment!r} cannot be read: {error}; publish it again") from error
