"""What is meant by a name: a deployment, or a model with an alias or a version, whichever door it comes through."""

from http import HTTPStatus

from octavo.errors import NotFound
from octavo.serving.lineup import Lineup
from octavo.serving.problems import HttpError
from octavo.serving.stopping import refusal_of_stopped
from octavo.serving.watcher import Watcher


class Finder:
    """Finds what answers.

    Parameters
    ----------
    watcher : Watcher
        Holds the lineups.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def deployment(self, name: str) -> Lineup:
        """What a deployment answers with.

        Raises
        ------
        NotFound
        HttpError
            If it is a composite.
        Stopped
            If it is stopped, and none of its versions is here.
        """
        lineup = self._watcher.lineups.get(name)
        if lineup is None and name in self._watcher.stopped:
            raise refusal_of_stopped(self._watcher.stopped[name])
        if lineup is None and name in self._watcher.composites:
            raise HttpError(
                HTTPStatus.NOT_FOUND,
                f"{name!r} is a composite, which answers rows of JSON alone",
                fix=f"send them by POST to /predict/{name}",
            )
        if lineup is None:
            known = self._watcher.lineups.keys() | self._watcher.composites.keys() | set(self._watcher.aliases.names)
            raise NotFound("deployment with a live version", name, known)
        return lineup

    async def lineup(self, name: str, version: str = "") -> Lineup:
        """What answers a call, once it is loaded.

        Parameters
        ----------
        name : str
            A deployment; or a model with an alias or a version, as ``arrival_delay@champion``.
        version : str
            A number, if only that version shall answer: one that the deployment has loaded, or one of the model of that
            name.

        Raises
        ------
        NotFound
        Unavailable
            If it cannot be loaded now.
        """
        called = self._called(name, version)
        return self._deployed(name, version) if called is None else await self._watcher.aliases.lineup(called)

    def loaded(self, name: str, version: str = "") -> Lineup:
        """As `lineup`, without a wait: what is not loaded yet is unavailable, and loaded for the next time.

        Raises
        ------
        NotFound, Unavailable
        """
        called = self._called(name, version)
        return self._deployed(name, version) if called is None else self._watcher.aliases.lineup_now(called)

    def about(self, name: str, version: str = "") -> dict[str, str]:
        """What a name means, for rights that are limited: a deployment, with its model where it has one; or a model.

        Raises
        ------
        NotFound
        """
        called = self._called(name, version)
        if called is not None:
            return {"model": called.partition("@")[0]}
        if name in self._watcher.composites:
            return {"deployment": name}
        lineup = self._watcher.lineups.get(name)
        if lineup is None:
            return {"model": name}
        models = {served.arm.model for served in lineup.arms}
        return {"deployment": name} | ({"model": models.pop()} if len(models) == 1 else {})

    def index(self, *, ready: bool = False) -> list[dict[str, str]]:
        """What can be called, as the Open Inference Protocol's index of a repository has it.

        Parameters
        ----------
        ready : bool
            Only what is loaded.
        """
        found = [
            {"name": name, "version": str(version), "state": "READY"}
            for name, lineup in sorted(self._watcher.lineups.items())
            for version in sorted({served.arm.version for served in lineup.arms})
        ]
        aliases = self._watcher.aliases
        for name in aliases.names:
            if (arm := aliases.arm(name)) is not None:
                ready_or_not = (
                    {"state": "READY"}
                    if name in aliases.served
                    else {"state": "UNAVAILABLE", "reason": "it is loaded when it is first asked for"}
                )
                found.append({"name": name, "version": str(arm.version), **ready_or_not})
        return [one for one in found if one["state"] == "READY" or not ready]

    def _called(self, name: str, version: str) -> str | None:
        """By which name a version is called without a deployment; None if a deployment is meant."""
        aliases = self._watcher.aliases
        if "@" in name:
            arm = aliases.arm(name) if version else None
            if arm is not None and str(arm.version) != version:
                raise NotFound(f"version named by {name}", version, [str(arm.version)])
            return name
        if not version:
            return None
        lineup = self._watcher.lineups.get(name)
        if lineup is not None and any(str(served.arm.version) == version for served in lineup.arms):
            return None
        called = f"{name}@{version}"
        return called if aliases.arm(called) is not None else None

    def _deployed(self, name: str, version: str) -> Lineup:
        lineup = self.deployment(name)
        return lineup.of_version(version) if version else lineup
