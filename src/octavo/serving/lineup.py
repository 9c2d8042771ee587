"""What one deployment answers with: a manifest's arms made ready, its request schema and its router, as one unit.

A predictor swaps a deployment's whole lineup in one assignment, so that no request ever sees parts of two.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan, PlannedField
from octavo.errors import Conflict, NotFound, Unavailable
from octavo.release.manifests import Arm, DeploymentManifest
from octavo.release.shares import LIVE, SHADOW
from octavo.serving.inputs import InputBuilder
from octavo.serving.lookup import FeatureLookup
from octavo.serving.models import LoadedModel
from octavo.serving.requests import RequestDecoder
from octavo.serving.router import Router, Sampler


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class ServedArm:
    """A version that answers or shadows.

    Attributes
    ----------
    builder : InputBuilder
        One object for all arms that make the same row of a request, so that it is made once.
    sampler : Sampler
        Which predictions it sees as a shadow.
    """

    arm: Arm
    model: LoadedModel
    builder: InputBuilder
    sampler: Sampler


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assigned:
    """Which arm answers each row, with which probability, and as a member of which group.

    Attributes
    ----------
    places : ndarray, shape (n_rows,), or None
        Among `Lineup.answering`; None if the arm at `only` answers all.
    propensities : float or list of float
        With which probability the version that answers was chosen; one number if it is the same for all.
    groups : str or list of str
        What the rows are marked with: ``cheaper-eta/control``, ``holdout``, ``explore``, or nothing.
    """

    places: npt.NDArray[np.intp] | None = None
    only: int = 0
    propensities: float | list[float] = 1.0
    groups: str | list[str] = ""


class Sole(NamedTuple):
    """The one version that has all to do: it answers every row, runs no code of the bundle's, and has no shadow."""

    served: ServedArm
    assigned: Assigned


class Lineup:
    """The arms of one deployment.

    Parameters
    ----------
    manifest : DeploymentManifest
    models : mapping of digest to LoadedModel
        Those of the manifest's arms.
    lookup_of : callable
        Makes the lookup of a plan's views.
    max_rows : int
        Per request.

    Raises
    ------
    Unavailable
        If no arm answers.
    Conflict
        If two versions take a field of the same name with different types.
    """

    def __init__(
        self,
        manifest: DeploymentManifest,
        models: Mapping[str, LoadedModel],
        *,
        lookup_of: Callable[[LookupPlan], FeatureLookup],
        max_rows: int,
    ) -> None:
        answering = sorted((arm for arm in manifest.arms if arm.role != SHADOW), key=lambda arm: arm.role != LIVE)
        if not answering:
            raise Unavailable(
                f"manifest {manifest.sequence} of deployment {manifest.deployment!r} has no arm that answers"
            )
        shadows = [arm for arm in manifest.arms if arm.role == SHADOW]
        plans = [models[arm.digest].plan for arm in (*answering, *shadows)]
        self.manifest = manifest
        self.max_rows = max_rows
        self._fields = _merged_fields(plans)
        self.decoder = RequestDecoder(self._fields, max_rows=max_rows)
        self.unit = self.decoder.names.index(manifest.unit) if manifest.unit in self.decoder.names else None
        """The place of the field by which traffic is split."""
        self._route(answering)
        builders: dict[object, InputBuilder] = {}
        for model in (models[arm.digest] for arm in manifest.arms):
            if model.recipe not in builders:
                builders[model.recipe] = InputBuilder(
                    model.plan, functions=model.functions, lookup=lookup_of(model.plan), names=self.decoder.names
                )
        self.answering, self.shadows = (
            tuple(
                ServedArm(
                    arm=arm,
                    model=models[arm.digest],
                    builder=builders[models[arm.digest].recipe],
                    sampler=Sampler(f"{manifest.deployment}\0{arm.version}", arm.sample),
                )
                for arm in arms
            )
            for arms in (answering, shadows)
        )
        self.fallback = self.answering[0]
        """Answers when a canary fails."""
        self.sole = self._find_sole()
        """None if there is more to an answer than one version's run, whatever can be read for it."""

    @property
    def arms(self) -> tuple[ServedArm, ...]:
        """All that are loaded, the one that answers by default first."""
        return (*self.answering, *self.shadows)

    @property
    def name(self) -> str:
        """Of the deployment."""
        return self.manifest.deployment

    @property
    def version(self) -> int:
        """That answers by default."""
        return self.fallback.arm.version

    @property
    def versions(self) -> tuple[int, ...]:
        """Those that can be asked for by number, in their order."""
        return tuple(sorted({served.arm.version for served in self.arms}))

    @property
    def common_inputs(self) -> tuple[str, ...] | None:
        """The columns of the matrix, if all arms take the same."""
        inputs = {served.builder.plan.inputs for served in self.arms}
        return inputs.pop() if len(inputs) == 1 else None

    def of_version(self, version: str) -> Self:
        """The same with one arm only, which answers everything, be it a shadow otherwise.

        Raises
        ------
        NotFound
            If no such version is loaded.
        """
        known = {str(served.arm.version): served for served in reversed(self.arms)}
        if version not in known:
            raise NotFound(f"loaded version of deployment {self.manifest.deployment!r}", version, known)
        one = copy(self)
        one.answering, one.shadows, one.fallback = (known[version],), (), known[version]
        one._route([replace(known[version].arm, role=LIVE, group="")])
        one.sole = one._find_sole()
        return one

    def stopped_by(self, manifest: DeploymentManifest) -> Self:
        """The same arms, under a manifest that says that none of them is asked."""
        one = copy(self)
        one.manifest = replace(
            self.manifest, sequence=manifest.sequence, stopped=manifest.stopped, on_stop=manifest.on_stop
        )
        one.sole = None
        return one

    def up_to(self, max_rows: int) -> Self:
        """The same, for requests of so many rows."""
        one = copy(self)
        one.max_rows = max_rows
        one.decoder = RequestDecoder(self._fields, max_rows=max_rows)
        return one

    def assign(self, ids: Sequence[str], units: Sequence[object] | None) -> Assigned:
        """Which arm answers each row.

        Parameters
        ----------
        ids : sequence of str
            Of the predictions; not looked at where one arm answers all.
        units : sequence or None
            The values of the field at `unit`; a row in which it is None is a unit of its own, by its id.
        """
        if self._alone is not None:
            return self._alone
        if units is None:
            units = ids
        named = [one if unit is None else str(unit) for one, unit in zip(ids, units, strict=True)]
        places = self.router.places(ids, named)
        groups: str | list[str] = ""
        if any(self._groups):
            groups = [self._groups[place] for place in places.tolist()]
        return Assigned(places=places, propensities=self._propensities[places].tolist(), groups=groups)

    def _route(self, answering: Sequence[Arm]) -> None:
        router = self.router = Router(self.manifest.deployment, answering)
        self._propensities = np.array(router.propensities)
        self._groups = tuple(arm.group for arm in answering)
        only = router.only
        self._alone = None if only is None else Assigned(only=only, groups=self._groups[only])

    def _find_sole(self) -> Sole | None:
        if self._alone is None or self.shadows or self.manifest.stopped:
            return None
        served = self.answering[self._alone.only]
        if served.model.runs_code or (served.builder.looks_up and self.manifest.on_unread != "predict"):
            return None
        return Sole(served, self._alone)


def _merged_fields(plans: Sequence[LookupPlan]) -> tuple[PlannedField, ...]:
    """All fields that any version takes; what the first plan, the live one, does not need is optional."""
    merged = {field.name: field for field in plans[0].fields}
    for plan in plans[1:]:
        for field in plan.fields:
            known = merged.setdefault(field.name, PlannedField(name=field.name, dtype=field.dtype, required=False))
            if known.dtype is not field.dtype:
                raise Conflict(
                    f"one version takes the field {field.name!r} as {known.dtype}, another as {field.dtype}; "
                    "give it another name, or release the model under another deployment"
                )
    return tuple(merged.values())
