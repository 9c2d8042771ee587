"""Small bundles with a linear model, made by hand, so that serving is tested without training anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature
from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, PlannedField, PlannedFunction, PlannedView
from octavo.definitions.types import DType
from octavo.features.answers import answer_of
from octavo.registry.bundles import (
    CARD,
    ENVIRONMENT,
    GOLDEN,
    ONNX,
    PLAN,
    PROVENANCE,
    REPORT,
    BundleFile,
    BundleManifest,
    digest_of,
)
from octavo.registry.modules import answers_in, load_module
from octavo.stores.ports import Artifacts

PROJECT, MODEL = "flights", "arrival_delay"
SCHEMAS: dict[str, str] = {}
"""The digest of the plan in each bundle that was published, whatever became of it."""

ORIGIN = PlannedView(
    name="origin_delays",
    entity_keys=("origin",),
    features=(
        Feature(name="dep_delay_mean_1h", operation=Operation.MEAN, column="dep_delay", window_s=3600, tile_s=300),
        Feature(name="events_count_1h", operation=Operation.COUNT, column=None, window_s=3600, tile_s=300),
    ),
)
FIELDS = (
    PlannedField(name="distance", dtype=DType.FLOAT64, required=True),
    PlannedField(name="sched_dep", dtype=DType.TIMESTAMP, required=True),
    PlannedField(name="seats", dtype=DType.INT64, required=False),
    PlannedField(name="origin", dtype=DType.STRING, required=True),
)
CODE = """
import octavo as oc
from octavo import local_time


@oc.on_demand
def hour(sched_dep):
    return (sched_dep.astype("datetime64[h]").astype("int64") % 24).astype("float64")
"""
PLAN_OF_TESTS = LookupPlan(
    model=MODEL,
    task=Task.REGRESSION,
    inputs=(
        "origin_delays__dep_delay_mean_1h",
        "origin_delays__events_count_1h",
        "hour",
        "distance",
        "seats",
    ),
    fields=FIELDS,
    views=(ORIGIN,),
    functions=(PlannedFunction(name="hour", inputs=("sched_dep",)),),
)
PLAN_LOOKED_UP = replace(PLAN_OF_TESTS, functions=(), inputs=(*ORIGIN.inputs, "distance", "seats"))
PLAN_SENT = replace(PLAN_LOOKED_UP, views=(), inputs=("distance", "seats"))
CALIBRATED = """

@oc.after_model
def calibrated(prediction, distance):
    return (prediction + 0.1 * distance).clip(0.0, 1_000.0)
"""
PLAN_WITH_ANSWER = replace(PLAN_OF_TESTS, answer=PlannedFunction(name="calibrated", inputs=("prediction", "distance")))
ROW = {"distance": 500.0, "sched_dep": "2013-07-01T12:30:00Z", "seats": 100, "origin": "JFK"}


def linear_model(weights: Sequence[float], *, bias: float = 0.0) -> bytes:
    """ONNX: the sum of inputs by weights; a NaN counts as 0."""
    nodes = [
        helper.make_node("IsNaN", ["X"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "X"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["sum"]),
        helper.make_node("Add", ["sum", "bias"], ["y"]),
    ]
    constants = {
        "zero": np.zeros(1, np.float32),
        "weights": np.array(weights, np.float32).reshape(-1, 1),
        "bias": np.array([bias], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, len(weights)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def bundle_files(
    *,
    plan: LookupPlan = PLAN_OF_TESTS,
    weights: Sequence[float] | None = None,
    bias: float = 0.0,
    code: str = CODE,
    golden: float | None = None,
    answers: Sequence[float] | None = None,
) -> dict[str, bytes]:
    """The files of a bundle.

    Parameters
    ----------
    golden : float or None
        What the model is said to answer for a row of ones.
    answers : sequence of float or None
        What the function after the model is said to make of that; what it does make of it unless given.
    """
    weights = [1.0] * len(plan.inputs) if weights is None else weights
    answer = sum(weights) + bias if golden is None else golden
    row = [1.0] * len(plan.inputs)
    after = {} if plan.answer is None else {"answers": answers or _answers(plan, code, answer, row)}
    return {
        ONNX: linear_model(weights, bias=bias),
        PLAN: msgspec.json.encode(plan),
        GOLDEN: msgspec.json.encode({"rows": [row], "expected": [answer], "tolerance": 1e-5} | after),
        REPORT: b"{}",
        PROVENANCE: b"{}",
        CARD: b"# A model for tests\n",
        ENVIRONMENT: b"",
        **({"code/project.py": code.encode()} if plan.functions or plan.answer else {}),
    }


def _answers(plan: LookupPlan, code: str, output: float, row: list[float]) -> list[float]:
    """What the function after the model makes of its output for one row."""
    assert plan.answer is not None
    found = answers_in(load_module(code.encode(), name="code_of_tests", path="code_of_tests.py"))[plan.answer.name]
    columns = {"prediction": np.array([output])} | {
        name: np.array([row[plan.inputs.index(name)]]) for name in plan.answer.inputs if name != "prediction"
    }
    return list(answer_of(found, columns, 1).tolist())


def pack(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A bundle's objects by digest, its manifest last."""
    manifest = BundleManifest(
        layout=1,
        project=PROJECT,
        model=MODEL,
        format="lightgbm",
        files={name: BundleFile(digest=digest_of(data), size_bytes=len(data)) for name, data in files.items()},
    )
    objects = {digest_of(data): data for data in files.values()}
    data = msgspec.json.encode(manifest, order="deterministic")
    objects.pop(digest_of(data), None)
    return {**objects, digest_of(data): data}


def publish_bundle(artifacts: Artifacts, **changes: object) -> str:
    """Put a bundle among the artifacts; returns its digest. Takes what `bundle_files` takes."""
    digest, files = "", bundle_files(**changes)  # type: ignore[arg-type]
    for data in pack(files).values():
        digest = artifacts.put(data)
    SCHEMAS[digest] = digest_of(files[PLAN])
    return digest
