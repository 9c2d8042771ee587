"""Who served what, when: what predictors were told of each deployment's traffic, and what each alias named.

Every manifest that changes who answers leaves a record with the moment of its publication, and every change of an alias
one of its own. What was before there were such records is told by the histories of the releases.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import ClassVar

import msgspec

from octavo.clock import from_micros
from octavo.release.manifests import DeploymentManifest, SignedDocument
from octavo.release.releases import Release, ReleaseState
from octavo.release.shares import CANARY, LIVE, SHADOW, chances
from octavo.stores.ports import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedArm:
    """A version and its part of the traffic; see `octavo.release.manifests.Arm`."""

    role: str
    model: str
    version: int
    percent: float
    digest: str = ""
    group: str = ""
    sample: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTraffic:
    """What predictors were told of a deployment from a moment on.

    Attributes
    ----------
    sequence : int
        Of the manifest; 0 for what the histories of releases tell.
    stopped : str
        Why no version answers; empty unless the deployment is stopped.
    """

    kind: ClassVar[str] = "served_traffic"

    deployment: str
    sequence: int
    at: datetime
    arms: tuple[ServedArm, ...]
    stopped: str = ""

    @property
    def key(self) -> str:
        return f"{self.deployment}/{self.sequence:09d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFrom:
    """What the aliases of a model named from a moment on."""

    kind: ClassVar[str] = "named_from"

    model: str
    sequence: int
    at: datetime
    by: str
    versions: Mapping[str, int]

    @property
    def key(self) -> str:
        return f"{self.model}/{self.sequence:09d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """That a version had one part in a deployment, from `since` until before `until`.

    Attributes
    ----------
    share : float
        The probability with which it answered, in [0, 1]: 0 for a shadow, and while the deployment was stopped.
    sample : float
        For a shadow: the percentage of predictions that it saw.
    until : datetime or None
        None if it still has.
    """

    deployment: str
    model: str
    version: int
    digest: str
    role: str
    share: float
    since: datetime
    until: datetime | None = None
    group: str = ""
    sample: float = 100.0
    stopped: str = ""

    def covers(self, moment: datetime) -> bool:
        """Whether it was so at a moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """That an alias named a version, from `since` until before `until` (None if it still does)."""

    model: str
    alias: str
    version: int
    by: str
    since: datetime
    until: datetime | None = None

    def covers(self, moment: datetime) -> bool:
        """Whether it was so at a moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


def note_traffic(tx: Transaction, document: bytes | None) -> None:
    """Put on record what a published manifest says of the traffic, unless it says what the one before said."""
    if document is None:
        return
    payload = msgspec.json.decode(document, type=SignedDocument).payload
    manifest = msgspec.json.decode(payload, type=DeploymentManifest)
    arms = tuple(
        ServedArm(
            role=arm.role,
            model=arm.model,
            version=arm.version,
            percent=arm.percent,
            digest=arm.digest,
            group=arm.group,
            sample=arm.sample,
        )
        for arm in manifest.arms
    )
    at = from_micros(manifest.published_at_us)
    newest = tx.find(ServedTraffic, newest_first=True, limit=1, deployment=manifest.deployment)
    if newest:
        [last] = newest
        if last.sequence >= manifest.sequence or (last.arms, last.stopped) == (arms, manifest.stopped):
            return
        at = max(at, last.at)
    tx.add(
        ServedTraffic(
            deployment=manifest.deployment,
            sequence=manifest.sequence,
            at=at,
            arms=arms,
            stopped=manifest.stopped,
        )
    )


def traffic_of(tx: Transaction, deployment: str) -> list[ServedTraffic]:
    """All that predictors were told of a deployment, in order; each holds until the next one."""
    noted = tx.find(ServedTraffic, deployment=deployment)
    told = list(_told_by(tx.find(Release, deployment=deployment), deployment=deployment))
    if noted:
        told = [one for one in told if one.at < noted[0].at]
    return told + noted


def traffic_at(told: Sequence[ServedTraffic], moment: datetime) -> ServedTraffic | None:
    """What held at a moment: the last of what was told by then; None before the first."""
    place = bisect_right(told, moment, key=lambda one: one.at)
    return told[place - 1] if place else None


def services(told: Sequence[ServedTraffic]) -> tuple[Service, ...]:
    """The parts that versions had in a deployment, each as long as nothing about it changed, by their begin."""
    going: list[Service] = []
    ended: list[Service] = []
    for one in told:
        found = list(_services_of(one))
        still = []
        for service in going:
            same = next((new for new in found if replace(new, since=service.since) == service), None)
            if same is None:
                ended.append(replace(service, until=one.at))
            else:
                found.remove(same)
                still.append(service)
        going = still + found
    lasting = [service for service in (*ended, *going) if service.until != service.since]
    return tuple(sorted(lasting, key=lambda service: (service.since, service.role, service.version)))


def namings(changes: Iterable[NamedFrom]) -> tuple[Naming, ...]:
    """What each alias of a model named, in order of the begin."""
    going: dict[str, Naming] = {}
    ended: list[Naming] = []
    for change in changes:
        for alias, naming in list(going.items()):
            if change.versions.get(alias) != naming.version:
                ended.append(replace(going.pop(alias), until=change.at))
        for alias, version in change.versions.items():
            if alias not in going:
                going[alias] = Naming(model=change.model, alias=alias, version=version, by=change.by, since=change.at)
    lasting = [naming for naming in (*ended, *going.values()) if naming.until != naming.since]
    return tuple(sorted(lasting, key=lambda naming: (naming.since, naming.alias)))


def _services_of(told: ServedTraffic) -> Iterator[Service]:
    shares = [0.0] * len(told.arms) if told.stopped else chances(told.arms)
    for arm, share in zip(told.arms, shares, strict=True):
        yield Service(
            deployment=told.deployment,
            model=arm.model,
            version=arm.version,
            digest=arm.digest,
            role=arm.role,
            share=round(share, 9),
            since=told.at,
            group=arm.group,
            sample=arm.sample,
            stopped=told.stopped,
        )


def _told_by(releases: Iterable[Release], *, deployment: str) -> Iterator[ServedTraffic]:
    """What the histories of releases tell of the traffic: who was live, and who came beside in shadow or canary."""
    steps = [
        (step.at, (release.id, release.model, release.version), step.state, step.percent)
        for release in releases
        for step in release.history
    ]
    steps.sort(key=lambda step: step[0])
    having: dict[tuple[str, str, int], tuple[ReleaseState, int]] = {}
    before: tuple[ServedArm, ...] = ()
    for at, group in groupby(steps, key=lambda step: step[0]):
        for _, place, state, percent in group:
            having.pop(place, None)
            if state.has_traffic:
                having[place] = (state, percent)
        arms = _arms(having)
        if arms != before:
            yield ServedTraffic(deployment=deployment, sequence=0, at=at, arms=arms)
        before = arms


def _arms(having: Mapping[tuple[str, str, int], tuple[ReleaseState, int]]) -> tuple[ServedArm, ...]:
    grown = sum(percent for state, percent in having.values() if state is ReleaseState.CANARY)
    arms = []
    for (_, model, version), (state, percent) in having.items():
        if state is ReleaseState.LIVE:
            arms.append(ServedArm(role=LIVE, model=model, version=version, percent=100 - grown))
        elif state is ReleaseState.CANARY:
            arms.append(ServedArm(role=CANARY, model=model, version=version, percent=percent))
        else:
            arms.append(ServedArm(role=SHADOW, model=model, version=version, percent=0, sample=percent or 100))
    order = (LIVE, SHADOW, CANARY)
    return tuple(sorted(arms, key=lambda arm: order.index(arm.role)))
