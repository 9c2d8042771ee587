"""Which arm answers a prediction: stable hashes of its unit, and of its id, against the arms' shares.

The shares are divided step by step (`octavo.release.shares`). Each step has a salt of its own, so that what a unit is
given at one says nothing of the others: the canary's salt is the version, an experiment's is its name.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.release.manifests import Arm
from octavo.release.shares import CANARY, EXPERIMENT, EXPLORE, HOLDOUT, chances, rest_of

BUCKETS = 10_000
_MASK = (1 << 64) - 1
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ONE_BY_ONE = 8
"""Up to so many rows are quicker without numpy."""

Hashes = npt.NDArray[np.uint64]


class _Step(NamedTuple):
    """A division of units, or of predictions.

    Attributes
    ----------
    table : list of int, ndarray
        By bucket the place of an arm; -1 where a later step decides.
    """

    by_id: bool
    salt: int
    table: list[int]
    array: npt.NDArray[np.intp]


class Router:
    """Splits the traffic of one deployment among the arms that answer.

    A unit keeps its arm while a canary grows and as long as an experiment lives; which units come first differs from
    version to version and from experiment to experiment.

    Parameters
    ----------
    deployment : str
    arms : sequence of Arm, not empty
        What their shares leave over goes to the live one.

    Attributes
    ----------
    only : int or None
        The place of the arm that answers everything, if one does.
    propensities : tuple of float
        For each arm, with which probability a prediction is answered by its version, be it by that arm or by another.

    Raises
    ------
    IntegrityError
        If the shares are no division of the traffic.
    """

    def __init__(self, deployment: str, arms: Sequence[Arm]) -> None:
        chance = chances(arms)
        likely = [place for place, one in enumerate(chance) if one > 1e-12]
        by_version: dict[str, float] = {}
        for arm, one in zip(arms, chance, strict=True):
            by_version[arm.digest] = by_version.get(arm.digest, 0.0) + one
        self.propensities = tuple(min(1.0, by_version[arm.digest]) for arm in arms)
        self.only = likely[0] if len(likely) == 1 else None
        rest = rest_of(arms)
        self._rest = likely[-1] if rest is None else rest
        canaries = [str(arm.version) for arm in arms if arm.role == CANARY]
        name = next((arm.group.partition("/")[0] for arm in arms if arm.role == EXPERIMENT), "")
        steps = (
            _step(deployment, HOLDOUT, arms=arms, role=HOLDOUT),
            _step(deployment, EXPERIMENT, name, arms=arms, role=EXPERIMENT),
            _step(deployment, EXPLORE, arms=arms, role=EXPLORE),
            _step(deployment, CANARY, *canaries, arms=arms, role=CANARY),
        )
        self._steps = tuple(step for step in steps if max(step.table) >= 0)

    def place(self, prediction: str, unit: str) -> int:
        """The place, among `arms`, of the one that answers a prediction about a unit."""
        hashed = hash_of(unit)
        for by_id, salt, table, _ in self._steps:
            place = table[_mixed((hash_of(prediction) if by_id else hashed) ^ salt) % BUCKETS]
            if place >= 0:
                return place
        return self._rest

    def places(self, predictions: Sequence[str], units: Sequence[str]) -> npt.NDArray[np.intp]:
        """`place` of many."""
        if len(units) <= _ONE_BY_ONE:
            return np.array(list(map(self.place, predictions, units)), np.intp)
        hashed = _hashes(units)
        by_id = _hashes(predictions) if any(step.by_id for step in self._steps) else hashed
        found = np.full(len(units), -1, np.intp)
        for step in self._steps:
            buckets = mixed_many((by_id if step.by_id else hashed) ^ np.uint64(step.salt)) % np.uint64(BUCKETS)
            found = np.where(found < 0, step.array[buckets], found)
        return np.where(found < 0, self._rest, found)


class Sampler:
    """Which predictions a shadow sees: a share of them, the same whenever and wherever it is asked.

    Parameters
    ----------
    salt : str
    percent : float
    """

    def __init__(self, salt: str, percent: float) -> None:
        self.share = percent / 100
        self._salt = np.uint64(_salt("shadow", salt))
        self._below = np.uint64(round(percent * BUCKETS / 100))

    def rows(self, predictions: Sequence[str]) -> npt.NDArray[np.intp] | None:
        """The places of those it sees; None for all, which are not looked at then."""
        if self.share >= 1:
            return None
        buckets = mixed_many(_hashes(predictions) ^ self._salt) % np.uint64(BUCKETS)
        return np.flatnonzero(buckets < self._below)


def hash_of(text: str) -> int:
    """64 bits of a unit or an id."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mixed_many(values: Hashes) -> Hashes:
    """`_mixed` of many."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return values ^ (values >> np.uint64(31))


def _mixed(value: int) -> int:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), in which each bit depends on all."""
    value = (value ^ (value >> 30)) * _FIRST & _MASK
    value = (value ^ (value >> 27)) * _SECOND & _MASK
    return value ^ (value >> 31)


def _hashes(texts: Sequence[str]) -> Hashes:
    digests = b"".join([blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts])
    return np.frombuffer(digests, "<u8")


def _salt(*parts: str) -> int:
    return hash_of("\0".join(parts))


def _step(*salt: str, arms: Sequence[Arm], role: str) -> _Step:
    """The buckets of the arms of one role, in their order; what they leave is not decided."""
    table: list[int] = []
    for place, arm in enumerate(arms):
        if arm.role == role:
            table += [place] * round(arm.percent * BUCKETS / 100)
    table = (table + [-1] * BUCKETS)[:BUCKETS]
    return _Step(by_id=role == EXPLORE, salt=_salt(*salt), table=table, array=np.array(table, np.intp))
