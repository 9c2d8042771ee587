"""What is meant by a name: a deployment, a composite, or a model with an alias or a version, through whichever door."""

from octavo.errors import Conflict, NotFound, Unavailable
from octavo.serving.composed import AnyLineup, Composed
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

    def deployment(self, name: str) -> AnyLineup:
        """What a deployment, or a composite, answers with.

        Raises
        ------
        NotFound
        Stopped
            If it is stopped, and none of its versions is here.
        Unavailable, Conflict
            If a composite cannot be asked, because of its deployments.
        """
        lineup = self._watcher.lineups.get(name)
        if lineup is None and name in self._watcher.stopped:
            raise refusal_of_stopped(self._watcher.stopped[name])
        if lineup is None and name in self._watcher.composites:
            return self._composite(name)
        if lineup is None:
            known = self._watcher.lineups.keys() | self._watcher.composites.keys() | set(self._watcher.aliases.names)
            raise NotFound("deployment with a live version", name, known)
        return lineup

    async def lineup(self, name: str, version: str = "") -> AnyLineup:
        """What answers a call, once it is loaded.

        Parameters
        ----------
        name : str
            A deployment or a composite; or a model with an alias or a version, as ``arrival_delay@champion``.
        version : str
            A number, if only that version shall answer: one that the deployment has loaded, the composite's, or one of
            the model of that name.

        Raises
        ------
        NotFound
        Unavailable
            If it cannot be loaded now.
        Conflict
            As `deployment`.
        """
        called = self._called(name, version)
        return self._deployed(name, version) if called is None else await self._watcher.aliases.lineup(called)

    def loaded(self, name: str, version: str = "") -> AnyLineup:
        """As `lineup`, without a wait: what is not loaded yet is unavailable, and loaded for the next time.

        Raises
        ------
        NotFound, Unavailable, Conflict
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
            for version in lineup.versions
        ]
        for name, composite in sorted(self._watcher.composites.items()):
            found.append({"name": name, "version": str(composite.manifest.version), **_state(self.trouble(name))})
        aliases = self._watcher.aliases
        for name in aliases.names:
            if (arm := aliases.arm(name)) is not None:
                reason = "" if name in aliases.served else "it is loaded when it is first asked for"
                found.append({"name": name, "version": str(arm.version), **_state(reason)})
        return [one for one in found if one["state"] == "READY" or not ready]

    def trouble(self, composite: str) -> str:
        """Why a composite that is served cannot be asked now; empty if it can."""
        try:
            self._composite(composite)
        except (Conflict, Unavailable) as error:
            return error.message
        return ""

    def _composite(self, name: str) -> Composed:
        """A composite with the lineups of now; made anew when one of them is another."""
        composite, lineups = self._watcher.composites[name], self._watcher.lineups
        known = self._watcher.composed.get(name)
        if known is None or not known.is_of(composite, lineups):
            known = self._watcher.composed[name] = Composed(composite, lineups)
        return known

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

    def _deployed(self, name: str, version: str) -> AnyLineup:
        lineup = self.deployment(name)
        return lineup.of_version(version) if version else lineup


def _state(reason: str) -> dict[str, str]:
    return {"state": "UNAVAILABLE", "reason": reason} if reason else {"state": "READY"}
