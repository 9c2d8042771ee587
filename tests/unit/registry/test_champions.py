"""The live version answers rows that it was not trained for, its inputs found by name."""

from datetime import UTC, datetime

import numpy as np
import pytest
from tests.serving.bundles import PLAN_OF_TESTS, publish_bundle

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Task
from octavo.registry.bundles import PLAN, decode_manifest
from octavo.registry.champions import Champion, bring_in
from octavo.registry.signing import Signature
from octavo.registry.versions import ModelVersion
from octavo.stores.memory import MemoryArtifacts

WEIGHTS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
COLUMNS = PLAN_OF_TESTS.inputs


def rows(columns: tuple[str, ...]) -> Dataset:
    """Two rows: of each input its place in the champion's plan, and one more."""
    places = np.array([COLUMNS.index(name) if name in COLUMNS else 7 for name in columns], dtype=np.float64)
    times = np.array(["2030-01-01", "2030-01-03"], dtype="datetime64[us]")
    return Dataset(columns=columns, X=np.vstack([places, places + 1]), y=np.zeros(2), times=times)


def version(digest: str) -> ModelVersion:
    return ModelVersion(
        model="arrival_delay",
        version=4,
        digest=digest,
        signature=Signature(key_id="", value=""),
        run="",
        report="",
        created_at=datetime(2030, 1, 1, tzinfo=UTC),
        trained_until=datetime(2030, 1, 2, tzinfo=UTC),
        metrics={},
    )


def answered(columns: tuple[str, ...], *, task: Task = Task.REGRESSION, **bundle: object) -> Champion:
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts, weights=WEIGHTS, **bundle)
    return bring_in(artifacts, version(digest), rows(columns), task=task)


def test_inputs_are_found_by_name_wherever_they_stand() -> None:
    in_order, reversed_ = answered(COLUMNS), answered(("more", *reversed(COLUMNS)))
    assert in_order.predictions is not None
    assert in_order.predictions.tolist() == [43_210.0, 54_321.0]
    assert reversed_.predictions is not None
    assert reversed_.predictions.tolist() == in_order.predictions.tolist()


def test_rows_that_it_may_have_learned_from_are_counted() -> None:
    assert answered(COLUMNS).learned == 1


def test_inputs_that_the_rows_lack_are_named() -> None:
    champion = answered(COLUMNS[1:])
    assert champion.predictions is None
    assert champion.why == f"version 4 takes {COLUMNS[0]}, which these rows lack"


def test_a_version_of_another_task_is_not_asked() -> None:
    champion = answered(COLUMNS, task=Task.BINARY)
    assert champion.predictions is None
    assert champion.why == "version 4 is a regression model"


def test_a_version_that_gives_no_number_is_not_compared() -> None:
    champion = answered(COLUMNS, bias=float("nan"))
    assert champion.predictions is None
    assert champion.why == "version 4 gives no number for 2 of them"


def test_a_version_whose_bundle_is_gone_is_not_compared() -> None:
    champion = bring_in(MemoryArtifacts(), version(f"sha256:{'0' * 64}"), rows(COLUMNS), task=Task.REGRESSION)
    assert champion.predictions is None
    assert "version 4 cannot be read (there is no artifact" in champion.why


@pytest.mark.parametrize("name", [PLAN, "model/model.onnx"])
def test_a_version_with_a_damaged_file_is_not_compared(name: str) -> None:
    artifacts = MemoryArtifacts()
    digest = publish_bundle(artifacts)
    damaged = decode_manifest(artifacts.get(digest), digest=digest).files[name].digest
    artifacts._bytes[damaged] = b"{}"
    champion = bring_in(artifacts, version(digest), rows(COLUMNS), task=Task.REGRESSION)
    assert champion.predictions is None
    assert "version 4 cannot be read" in champion.why
