"""What stays in a predictor's memory, and what makes way."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.serving.bundles import publish_bundle
from tests.serving.predictors import NOW
from tests.serving.projects import arm

from octavo.clock import ManualClock
from octavo.errors import IntegrityError, Unavailable
from octavo.release.manifests import Arm
from octavo.serving.fleet import Fleet
from octavo.stores.memory import MemoryArtifacts

ARTIFACTS = MemoryArtifacts()
ARMS = [arm(publish_bundle(ARTIFACTS, bias=float(number)), version=number) for number in range(4)]
HUGE = 10**12


class Sized(Fleet):
    """A fleet whose models are all said to take 100 bytes: what they really take differs from machine to machine."""

    def _loaded(self, arm: Arm, statement):  # type: ignore[no-untyped-def]  # as the method that it stands for
        model = super()._loaded(arm, statement)
        self._sizes[arm.digest] = self._kept[arm.digest].size_bytes = 100
        return model


def fleet(folder: Path, *, max_bytes: int, clock: ManualClock | None = None) -> Fleet:
    clock = clock or ManualClock(NOW)
    return Sized(ARTIFACTS, folder=folder, max_bytes=max_bytes, keep_former_s=60, clock=clock)


def versions(models: Fleet) -> list[int]:
    return [model.version for model in models.status]


def test_a_model_is_loaded_once(tmp_path: Path) -> None:
    models = fleet(tmp_path, max_bytes=HUGE)
    assert models.load(ARMS[0]) is models.fit(ARMS[0])


def test_a_model_takes_at_least_what_its_files_take(tmp_path: Path) -> None:
    models = Fleet(ARTIFACTS, folder=tmp_path, max_bytes=HUGE, keep_former_s=60, clock=ManualClock(NOW))
    models.load(ARMS[0])
    assert models.status[0].size_bytes >= 100


def test_the_one_that_was_unused_for_longest_makes_way(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    models = fleet(tmp_path, max_bytes=200, clock=clock)
    for one in (ARMS[0], ARMS[1]):
        models.fit(one)
        clock.advance(clock.now() + timedelta(seconds=1))
    models.note_use(ARMS[0].digest)
    models.fit(ARMS[2])
    assert versions(models) == [0, 2]


def test_what_a_deployment_serves_by_never_makes_way(tmp_path: Path) -> None:
    models = fleet(tmp_path, max_bytes=100)
    models.load(ARMS[0])
    models.settle(deployments={ARMS[0].digest: ["eta"]}, called={})
    with pytest.raises(Unavailable, match="model_memory is 0 MB: raise it"):
        models.fit(ARMS[1])
    assert versions(models) == [0]


def test_what_is_known_not_to_fit_is_not_loaded_again(tmp_path: Path) -> None:
    models = fleet(tmp_path, max_bytes=50)
    with pytest.raises(Unavailable):
        models.fit(ARMS[0])
    (tmp_path / ARMS[0].digest.removeprefix("sha256:")).rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        models.fit(ARMS[0])
    assert not (tmp_path / ARMS[0].digest.removeprefix("sha256:")).exists()


def test_deployments_are_served_whatever_room_there_is(tmp_path: Path) -> None:
    models = fleet(tmp_path, max_bytes=100)
    for one in ARMS[:3]:
        models.load(one)
    models.settle(deployments={one.digest: ["eta"] for one in ARMS[:3]}, called={})
    assert not models.tidy()
    assert versions(models) == [0, 1, 2]


def test_what_nobody_needs_is_kept_for_a_time_and_unloaded_then(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    models = fleet(tmp_path, max_bytes=HUGE, clock=clock)
    models.load(ARMS[0])
    models.settle(deployments={ARMS[0].digest: ["eta"]}, called={})
    clock.advance(clock.now() + timedelta(seconds=90))
    models.settle(deployments={}, called={})
    assert not models.tidy()
    clock.advance(clock.now() + timedelta(seconds=60))
    assert models.tidy()
    assert versions(models) == []


def test_what_is_called_by_an_alias_stays_while_there_is_room(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    models = fleet(tmp_path, max_bytes=HUGE, clock=clock)
    models.fit(ARMS[0])
    models.settle(deployments={}, called={ARMS[0].digest: ["arrival_delay@champion"]})
    clock.advance(clock.now() + timedelta(days=1))
    assert not models.tidy()
    assert models.status[0].called == ("arrival_delay@champion",)


def test_a_bundle_of_another_model_is_refused(tmp_path: Path) -> None:
    models = fleet(tmp_path, max_bytes=HUGE)
    wrong = Arm(role="live", model="other", version=1, digest=ARMS[0].digest, percent=100)
    with pytest.raises(IntegrityError, match="holds model 'arrival_delay', not 'other'"):
        models.load(wrong)
