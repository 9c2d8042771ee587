"""Keeps the versions that are called without a deployment: as ``MODEL@ALIAS`` and ``MODEL@VERSION``.

They are loaded when they are first asked for, in the watcher's thread, while those who asked wait. Where an alias
moves, the version that it names from then on is loaded before it answers, if the one before was.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from octavo.clock import Clock
from octavo.config import Config
from octavo.errors import NotFound, OctavoError, Unavailable
from octavo.release.aliases import FOLDER, PURPOSE, AliasManifest
from octavo.release.manifests import Arm, DeploymentManifest
from octavo.release.shares import LIVE
from octavo.serving.fleet import Fleet
from octavo.serving.following import Following, Kind
from octavo.serving.lineup import Lineup
from octavo.serving.models import LoadedModel
from octavo.stores.ports import Artifacts

log = logging.getLogger(__name__)

_KIND = Kind(
    folder=FOLDER,
    purpose=PURPOSE,
    manifest=AliasManifest,
    named=lambda manifest: manifest.model,
    said="the aliases of",
)
_WAIT_S = 5.0
_MOST_WAITING = 64
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 60.0

Outcome = Lineup | OctavoError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """Why a version could not be loaded, and when it is tried again; on the clock of `time.monotonic`."""

    error: OctavoError
    pause_s: float
    again_at_s: float


class AliasWatcher:
    """Follows the published aliases of a project, and loads what is called by them.

    Requests are of one thread, and what looks, loads and unloads is of another; they meet in dictionaries whose values
    are replaced as wholes.

    Parameters
    ----------
    config : Config
    artifacts : Artifacts
    fleet : Fleet
    clock : Clock
    deployed : mapping of deployment to Lineup
        What deployments serve; its versions are called by number, too.
    lineup_of : callable
        Makes a lineup ready by a manifest.
    wake : callable
        Has the watcher's thread look at once.

    Attributes
    ----------
    served : dict of name to Lineup
        Of names by which a version has been called, those that are loaded.
    errors : dict of model to str
        Why its newest aliases are not followed.
    """

    def __init__(
        self,
        config: Config,
        artifacts: Artifacts,
        *,
        fleet: Fleet,
        clock: Clock,
        deployed: Mapping[str, Lineup],
        lineup_of: Callable[[DeploymentManifest, Callable[[Arm], LoadedModel]], Lineup],
        wake: Callable[[], None],
    ) -> None:
        self.served: dict[str, Lineup] = {}
        self.errors: dict[str, str] = {}
        self._project = config.project.name
        self._fleet, self._clock, self._deployed = fleet, clock, deployed
        self._lineup_of, self._wake = lineup_of, wake
        self._manifests: dict[str, AliasManifest] = {}
        self._arms: dict[str, Arm] = {}
        self._failed: dict[str, _Failed] = {}
        self._wishes: SimpleQueue[tuple[str, Callable[[Outcome], None]]] = SimpleQueue()
        self._awaited: dict[str, asyncio.Future[Outcome]] = {}
        self._n_waiting = 0
        self._following = Following(
            config,
            artifacts,
            kind=_KIND,
            prepare=self._prepared,
            refused=self.errors.__setitem__,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """By which names versions can be called, beside the numbers of those that deployments serve."""
        return tuple(sorted(self._arms))

    def arm(self, name: str) -> Arm | None:
        """What a name stands for; None if for nothing."""
        return self._arms.get(name) or next((arm for arm in self._deployed_arms() if _by_number(arm) == name), None)

    async def lineup(self, name: str) -> Lineup:
        """What answers calls by a name, after a wait while it is loaded.

        Raises
        ------
        NotFound
            If the name stands for nothing.
        Unavailable
            If it cannot be loaded now, takes too long, or too many wait.
        """
        served = self._served(name)
        if served is not None:
            return served
        if self._n_waiting >= _MOST_WAITING:
            raise Unavailable(f"{name} is being loaded, and many requests wait for that already; try again")
        self._n_waiting += 1
        try:
            outcome = await asyncio.wait_for(asyncio.shield(self._wish(name)), _WAIT_S)
        except TimeoutError as error:
            raise Unavailable(f"{name} is still being loaded; try again in a few seconds") from error
        finally:
            self._n_waiting -= 1
        if isinstance(outcome, OctavoError):
            raise outcome
        self._fleet.note_use(outcome.fallback.arm.digest)
        return outcome

    def lineup_now(self, name: str) -> Lineup:
        """As `lineup`, without a wait: what is not loaded is unavailable, and loaded for the next time.

        Raises
        ------
        NotFound, Unavailable
        """
        served = self._served(name)
        if served is None:
            self._wish(name)
            raise Unavailable(f"{name} is being loaded; try again in a second")
        return served

    def restore(self) -> None:
        """Follow what is on the predictor's own disk."""
        self._following.restore()

    def look(self) -> None:
        """Look for new aliases once.

        Raises
        ------
        OctavoError
            If the artifacts cannot be reached.
        """
        self._following.look()

    def fulfil(self) -> None:
        """Load what has been asked for."""
        with suppress(Empty):
            while True:
                name, tell = self._wishes.get_nowait()
                tell(self._loaded(name))

    def forget_unloaded(self) -> None:
        """Serve no more by what the fleet has unloaded, or what is called by another name now."""
        for name, lineup in list(self.served.items()):
            arm = self.arm(name)
            if arm is None or arm.digest not in self._fleet or lineup.fallback.arm.digest != arm.digest:
                del self.served[name]

    def _served(self, name: str) -> Lineup | None:
        """What is loaded under a name that stands for something."""
        lineup = self.served.get(name)
        if lineup is not None:
            self._fleet.note_use(lineup.fallback.arm.digest)
            return lineup
        if self.arm(name) is None:
            raise NotFound("alias or version of a model", name[:160], self.names)
        failed = self._failed.get(name)
        if failed is not None and time.monotonic() < failed.again_at_s:
            raise failed.error
        return None

    def _wish(self, name: str) -> "asyncio.Future[Outcome]":
        """Have a version loaded; what comes of it, for all who wait for it."""
        loop, future = asyncio.get_running_loop(), self._awaited.get(name)
        if future is None or future.get_loop() is not loop:
            future = self._awaited[name] = loop.create_future()
            future.add_done_callback(lambda _: self._awaited.pop(name, None))

            def tell(outcome: Outcome, future: "asyncio.Future[Outcome]" = future) -> None:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_set, future, outcome)

            self._wishes.put((name, tell))
            self._wake()
        return future

    def _loaded(self, name: str) -> Outcome:
        """Load what a name stands for, if it is not loaded yet."""
        lineup, arm = self.served.get(name), self.arm(name)
        if lineup is not None:
            return lineup
        if arm is None:
            return NotFound("alias or version of a model", name, self.names)
        try:
            lineup = self.served[name] = self._made(name, arm)
        except OctavoError as error:
            return self._note_failed(name, error)
        except Exception:  # whatever a bundle makes of its loading, those who wait are told
            log.exception("a version could not be loaded")
            return self._note_failed(name, Unavailable(f"{name} cannot be loaded; the predictor's log tells more"))
        self._failed.pop(name, None)
        return lineup

    def _note_failed(self, name: str, error: OctavoError) -> OctavoError:
        if not isinstance(error, Unavailable):
            error = Unavailable(f"{name} cannot be loaded: {error.message}")
        before = self._failed.get(name)
        pause_s = min(before.pause_s * 2, _LAST_RETRY_S) if before else _FIRST_RETRY_S
        self._failed[name] = _Failed(error=error, pause_s=pause_s, again_at_s=time.monotonic() + pause_s)
        log.error("version not loaded", extra={"called": name, "reason": error.message})
        return error

    def _made(self, name: str, arm: Arm) -> Lineup:
        manifest = self._manifests.get(arm.model)
        return self._lineup_of(
            DeploymentManifest(
                project=self._project,
                deployment=name,
                sequence=manifest.sequence if manifest else 0,
                unit=None,
                arms=(arm,),
                published_at_us=manifest.published_at_us if manifest else 0,
            ),
            self._fleet.fit,
        )

    def _prepared(self, model: str, manifest: AliasManifest) -> Callable[[], None]:
        arms = _arms(manifest)
        moved = {
            name: self._made_if_room(name, arms[name])
            for name, lineup in self.served.items()
            if name in arms and lineup.fallback.arm.digest != arms[name].digest
        }
        return lambda: self._put_live(manifest, arms, moved)

    def _made_if_room(self, name: str, arm: Arm) -> Lineup | None:
        """What an alias names from now on, made ready; None, to be loaded when it is asked for, if both do not fit."""
        try:
            return self._made(name, arm)
        except Unavailable as error:
            log.warning("an alias moves to what is not loaded yet", extra={"called": name, "reason": error.message})
            return None

    def _put_live(self, manifest: AliasManifest, arms: dict[str, Arm], moved: dict[str, Lineup | None]) -> None:
        others = {name: arm for name, arm in self._arms.items() if arm.model != manifest.model}
        self._manifests[manifest.model] = manifest
        self._arms = {**others, **arms}
        for name, lineup in moved.items():
            if lineup is not None:
                self.served[name] = lineup
        self._failed = {name: failed for name, failed in self._failed.items() if name not in arms}
        self.errors.pop(manifest.model, None)
        self.forget_unloaded()

    def _deployed_arms(self) -> Iterator[Arm]:
        for lineup in list(self._deployed.values()):
            for served in lineup.arms:
                yield replace(served.arm, role=LIVE, percent=100, group="", sample=100)


def _arms(manifest: AliasManifest) -> dict[str, Arm]:
    """What is called by which name: by aliases, and by the numbers of the versions that have one."""
    found = {}
    for named in manifest.named:
        arm = Arm(role=LIVE, model=manifest.model, version=named.version, digest=named.digest, percent=100)
        found[f"{manifest.model}@{named.alias}"] = arm
        found[_by_number(arm)] = arm
    return found


def _by_number(arm: Arm) -> str:
    return f"{arm.model}@{arm.version}"


def _set(future: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
