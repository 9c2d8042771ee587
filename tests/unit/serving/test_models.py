"""Bundles made ready to answer."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.bundles import CODE, PLAN_OF_TESTS, bundle_files, linear_model, pack, publish_bundle

from octavo.errors import IntegrityError, PredictionFailed
from octavo.registry.bundles import ONNX, fetch_bundle
from octavo.serving.models import LoadedModel, load_model
from octavo.stores.memory import MemoryArtifacts


def load(folder: Path, **changes: Any) -> LoadedModel:
    artifacts = MemoryArtifacts()
    return load_model(fetch_bundle(artifacts, publish_bundle(artifacts, **changes), into=folder))


def load_files(folder: Path, files: dict[str, bytes]) -> LoadedModel:
    artifacts, digest = MemoryArtifacts(), ""
    for data in pack(files).values():
        digest = artifacts.put(data)
    return load_model(fetch_bundle(artifacts, digest, into=folder))


def test_a_model_answers_one_number_per_row(tmp_path: Path) -> None:
    model = load(tmp_path, weights=[1, 10, 100, 1000, 10_000])
    matrix = np.array([[1, 2, 3, 4, 5], [0, 0, 0, 0, 1]], np.float32)
    assert model.run(matrix).tolist() == [54321.0, 10_000.0]
    assert model.run(matrix[:0]).tolist() == []


def test_a_model_that_does_not_reproduce_its_golden_rows_must_not_answer(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="golden row 0 gives 5 instead of 6; this machine's runtime does not"):
        load(tmp_path, golden=6.0)


def test_a_model_of_another_width_must_not_answer(tmp_path: Path) -> None:
    files = bundle_files() | {ONNX: linear_model([1.0] * 4)}
    with pytest.raises(IntegrityError, match="takes no single matrix of the 5 planned inputs"):
        load_files(tmp_path, files)


def test_what_is_no_model_must_not_answer(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="its model cannot be loaded"):
        load_files(tmp_path, bundle_files() | {ONNX: b"not a model"})


def test_a_model_that_is_asked_wrongly_fails_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(PredictionFailed, match=r"model 'arrival_delay' \(sha256:.{12}\) failed: "):
        load(tmp_path).run(np.zeros((1, 4), np.float32))


def test_bundles_that_make_the_same_row_have_the_same_recipe(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path, bias=1.0)
    assert first.recipe == second.recipe
    assert first.recipe != load(tmp_path, code=CODE + "\n# changed\n").recipe


def test_functions_come_from_the_code_in_the_bundle_however_many_versions_there_are(tmp_path: Path) -> None:
    columns = {"sched_dep": np.array(["2013-07-01T15:30"], "datetime64[us]")}
    versions = [load(tmp_path, code=CODE.replace("% 24", f"% {hours}")) for hours in (24, 12, 4)]
    computed = [asyncio.run(version.functions.compute(columns, 1)) for version in versions]
    assert [values["hour"].tolist() for values in computed] == [[15.0], [3.0], [3.0]]


def test_code_that_lacks_a_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="code of model 'arrival_delay' lacks the on-demand features hour"):
        load(tmp_path, code="import octavo\n")


@pytest.mark.parametrize(
    ("code", "why"),
    [("1/0", "ZeroDivisionError: "), ("def", "SyntaxError"), ("import nothing_such", "ModuleNotFoundError")],
)
def test_code_that_does_not_run_is_refused_and_leaves_nothing_behind(tmp_path: Path, code: str, why: str) -> None:
    with pytest.raises(IntegrityError, match=rf"project\.py in a bundle failed to load: {why}"):
        load(tmp_path, code=code)
    load(tmp_path)


def test_a_plan_without_functions_loads_no_code(tmp_path: Path) -> None:
    inputs = tuple(name for name in PLAN_OF_TESTS.inputs if name != "hour")
    plan = replace(PLAN_OF_TESTS, functions=(), inputs=inputs)
    assert asyncio.run(load(tmp_path, plan=plan).functions.compute({}, 1)) == {}
    files = bundle_files(plan=plan) | {"code/project.py": b"1/0"}
    assert asyncio.run(load_files(tmp_path, files).functions.compute({}, 1)) == {}
